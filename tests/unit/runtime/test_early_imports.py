import subprocess
import sys

HEAVY = ("pydantic", "pydantic_ai", "starlette", "prometheus_client", "psutil", "jsonschema", "httpx", "openai")


def test_what_answers_the_first_probe_imports_nothing_heavy() -> None:
    program = f"import sys, mizzen_runtime.server; print([name for name in {HEAVY!r} if name in sys.modules])"

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_an_agent_that_answers_text_does_without_jsonschema_and_the_test_model() -> None:
    program = (
        "import sys, mizzen_runtime.wiring;"
        "print([name for name in ('jsonschema', 'pydantic_ai.models.test') if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
