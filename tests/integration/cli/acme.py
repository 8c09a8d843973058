"""Own code for tests of the command line."""

CODE = '''
"""Tools and a service of one's own."""

import asyncio
import os
from typing import Protocol

from pydantic import BaseModel


class Greeter(Protocol):
    async def greet(self) -> str: ...


class GreeterSettings(BaseModel):
    word: str
    shout: bool = False


class WordGreeter:
    def __init__(self, settings: GreeterSettings) -> None:
        self.word = settings.word.upper() if settings.shout else settings.word

    async def health_check(self) -> bool:
        return self.word != "ill"

    async def greet(self) -> str:
        return self.word


async def greet(greeter: Greeter) -> str:
    """Say what the greeter says."""
    return f"{await greeter.greet()} from {os.environ.get('PLACE', 'nowhere')}"


async def dawdle() -> str:
    """Take a while."""
    await asyncio.sleep(float(os.environ["SECONDS"]))
    return "done"
'''

AGENT = """\
apiVersion: mizzen.dev/v1alpha1
kind: AgentDeployment
metadata: {name: greeter}
spec:
  agent:
    instructions: Greet.
    capabilities:
      - PythonTools: {tools: ["acme:greet"]}
  models:
    - model: vllm:scripted
      baseUrl: http://127.0.0.1:9/v1
      apiKey: {secretKeyRef: {name: llm, key: token}}
  services:
    - name: greeter
      interface: acme:Greeter
      implementation: acme:WordGreeter
      configMapRef: {name: words}
  pod:
    env:
      - {name: PLACE, value: here}
"""
WORDS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data:
  word: hello
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: llm}
stringData:
  token: first
"""
