"""What several kinds of tests share: waiting, HTTP, a namespace of the cluster."""
