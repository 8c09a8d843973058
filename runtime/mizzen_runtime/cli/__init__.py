"""The command line `mizzen`: the files of an agent checked and run without a cluster. Nothing else imports it."""
