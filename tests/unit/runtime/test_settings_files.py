"""Every way in which settings can be wrong, with the words that tell it."""

import errno
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from mizzen_api.contract import RuntimeService, SettingsSource
from mizzen_runtime.implementations.postgres_settings import PostgresSettings
from mizzen_runtime.settings_fields import AgentName, DefaultOfAgent
from mizzen_runtime.settings_files import ReadSettings, read_settings, values_of


class Pool(BaseModel):
    size: Annotated[int, Field(ge=1)] = 10
    name: str | None = None


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    password: SecretStr | None = None
    pool: Pool = Pool()
    hosts: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    verify: bool = True

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.url == "fragile":
            raise KeyError("SECRET-TEXT")
        if self.url == "nowhere" and self.hosts:
            raise ValueError("give hosts or a url that leads somewhere")
        return self


class OfSomebodyElse(BaseModel):
    size: int = 1


class WithToken(BaseModel):
    user: str = ""
    token: SecretStr


class OfTheAgent(BaseModel):
    prefix: Annotated[str, DefaultOfAgent("{namespace}/{name}")] = "shared"


class Account(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str = ""
    password: SecretStr | None = None


class Basic(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["basic"] = "basic"
    name: str


class Bearer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["bearer"] = "bearer"
    token: SecretStr


@dataclass
class Proxy:
    host: str
    password: SecretStr | None = None


class Limits(TypedDict):
    rate: int


class Accounts(RootModel[dict[str, Account]]):
    """Accounts by name."""


class Nested(BaseModel):
    model_config = ConfigDict(extra="forbid")

    account: Account = Account()
    accounts: list[Account] = []
    named: Accounts | None = None
    pair: tuple[int, Account] | None = None
    pools: tuple[Pool, ...] = ()
    tokens: tuple[SecretStr, ...] = ()
    headers: dict[str, SecretStr] = {}
    proxy: Proxy | None = None
    limits: Limits | None = None
    auth: Annotated[Basic | Bearer, Field(discriminator="kind")] | None = None
    any_auth: Basic | Bearer | None = None
    free: dict[str, int] | Pool = {}


class Aliased(BaseModel):
    size: Annotated[int, Field(alias="poolSize")] = 1
    host: Annotated[str, Field(validation_alias=AliasChoices("host", "server"))] = ""
    password: Annotated[SecretStr | None, Field(validation_alias=AliasPath("login", "password"))] = None


class ByBoth(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    size: Annotated[int, Field(alias="poolSize")] = 1


class Silent(BaseModel):
    @model_validator(mode="after")
    def _check(self) -> "Silent":
        raise ValidationError.from_exception_data("Silent", [])


class Talkative(BaseModel):
    dsn: SecretStr
    name: str = ""

    @field_validator("dsn")
    @classmethod
    def _check_dsn(cls, dsn: SecretStr) -> SecretStr:
        whole = dsn.get_secret_value()
        if whole.startswith("plain "):
            raise ValueError(f"cannot parse {whole}")
        if whole.startswith("custom "):
            raise PydanticCustomError("refused", "{whole} is refused", {"whole": whole})
        if whole.startswith("asserted "):
            raise AssertionError(whole)
        if whole.startswith("http://"):
            raise ValueError(f"the password {urlsplit(whole).password} is weak")
        return dsn

    @model_validator(mode="after")
    def _check(self) -> "Talkative":
        if self.name:
            raise ValueError(f"{self.dsn.get_secret_value()} is not of {self.name}")
        return self


Mount = Callable[..., SettingsSource]


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    """Make a folder as kubelet mounts an object."""

    def mount_object(kind: str, name: str, _keys: dict[str, str] | None = None, **files: str | bytes) -> SettingsSource:
        folder = tmp_path / f"{kind}-{name}"
        data = folder / "..2026_11_27"
        data.mkdir(parents=True)
        (folder / "..data").symlink_to(data.name)
        for file, content in files.items():
            (data / file).write_bytes(content if isinstance(content, bytes) else content.encode())
            (folder / file).symlink_to(f"..data/{file}")
        return SettingsSource.model_validate({"kind": kind, "name": name, "path": str(folder), "keys": _keys})

    return mount_object


def read(
    *sources: SettingsSource, settings: dict[str, object] | None = None, model: type[BaseModel] = Settings
) -> ReadSettings[BaseModel]:
    service = RuntimeService(
        name="database", interface="DatabaseService", implementation="own", settings=settings, sources=sources
    )
    return read_settings(service, model, "spec.services[2]", AgentName("support", "triage"))


def told(
    *sources: SettingsSource, settings: dict[str, object] | None = None, model: type[BaseModel] = Settings
) -> list[str]:
    result = read(*sources, settings=settings, model=model)
    assert result.settings is None
    return [str(problem) for problem in result.problems]


def test_each_key_fills_a_field(mount: Mount) -> None:
    result = read(
        mount(
            "ConfigMap",
            "db",
            pool__size="20\n",
            verify="false",
            hosts='["a", "b"]',
            headers__accept="text/plain",
        ),
        mount("Secret", "db", password="correct horse\n\n"),
        settings={"url": "http://db", "pool": {"name": "[not json"}},
    )
    assert result.problems == ()
    assert result.settings == Settings(
        url="http://db",
        password=SecretStr("correct horse\n"),
        pool=Pool(size=20, name="[not json"),
        hosts=("a", "b"),
        headers={"accept": "text/plain"},
        verify=False,
    )


def test_listed_keys_are_told_by_the_names_that_they_have_in_the_secret(mount: Mount) -> None:
    source = mount("Secret", "db", {"url": "uri", "password": "pass"}, url="http://db", other="ignored")
    assert told(source) == [
        (
            "Secret 'db', key 'pass': the key or the whole object is missing; kubectl create secret generic db "
            "--namespace support --from-literal=pass=<value>, or add the key to it if the Secret is there"
        )
    ]


def test_an_object_that_is_missing_is_told_and_not_what_follows_from_it(mount: Mount) -> None:
    assert told(mount("ConfigMap", "db"), mount("Secret", "db", password="x")) == [
        (
            "ConfigMap 'db': is missing, or holds no keys; kubectl create configmap db --namespace support "
            "--from-literal=<field>=<value>, or add the key to it if the ConfigMap is there"
        )
    ]


def test_a_field_that_nobody_fills_is_told_with_the_place_for_it(mount: Mount) -> None:
    assert told() == [
        (
            "spec.services[2]: the setting 'url' of service 'database' is missing; name a ConfigMap with the key 'url' "
            "in configMapRef"
        )
    ]
    assert told(mount("ConfigMap", "db", verify="true")) == [
        "spec.services[2]: the setting 'url' of service 'database' is missing; add the key 'url' to ConfigMap 'db'"
    ]


def test_a_field_is_set_in_one_place_only(mount: Mount) -> None:
    config = mount("ConfigMap", "db", url="http://a", pool__size="1")
    secret = mount("Secret", "db", url="http://b", pool='{"size": 2}')
    assert told(config, secret, settings={"url": "http://c"}) == [
        (
            "ConfigMap 'db', key 'url': the setting 'url' of service 'database' is also set at "
            "spec.services[2].settings.url; leave it in one of the two"
        ),
        (
            "Secret 'db', key 'pool': the setting 'pool' of service 'database' is also set at "
            "ConfigMap 'db', key 'pool__size'; leave it in one of the two"
        ),
        (
            "Secret 'db', key 'url': the setting 'url' of service 'database' is also set at "
            "spec.services[2].settings.url; leave it in one of the two"
        ),
    ]


def test_a_secret_anywhere_else_is_refused(mount: Mount) -> None:
    remedy = "put it into a Secret under the key 'password' and name that in secretRef"
    message = (
        "the setting 'password' of service 'database' is a secret, and everybody who may read this place can read it"
    )
    assert told(settings={"url": "x", "password": "hunter2"}) == [
        f"spec.services[2].settings.password: {message}; {remedy}"
    ]
    assert told(mount("ConfigMap", "db", url="x", password="hunter2")) == [
        f"ConfigMap 'db', key 'password': {message}; {remedy}"
    ]


def test_a_field_that_there_is_not_is_refused(mount: Mount) -> None:
    assert told(mount("ConfigMap", "db", url="x", pool__seize="1", colour="red")) == [
        (
            "ConfigMap 'db', key 'colour': the setting 'colour' of service 'database' does not exist; known are "
            "headers, hosts, password, pool, url, verify"
        ),
        (
            "ConfigMap 'db', key 'pool__seize': the setting 'pool__seize' of service 'database' does not exist; did "
            "you mean 'size'?"
        ),
    ]
    assert told(mount("ConfigMap", "lax", sise="1"), model=OfSomebodyElse) == [
        "ConfigMap 'lax', key 'sise': the setting 'sise' of service 'database' does not exist; did you mean 'size'?"
    ]


def test_a_wrong_value_is_shown_unless_it_comes_from_a_secret(mount: Mount) -> None:
    assert told(mount("ConfigMap", "db", pool__size="many"), mount("Secret", "db", url="x", verify="hunter2")) == [
        (
            "ConfigMap 'db', key 'pool__size': the setting 'pool__size' of service 'database': input should be a valid "
            "integer, unable to parse string as an integer (it is 'many'); correct the value"
        ),
        (
            "Secret 'db', key 'verify': the setting 'verify' of service 'database': input should be a valid boolean, "
            "unable to interpret input; correct the value"
        ),
    ]


def test_what_the_settings_say_of_each_other_is_told(mount: Mount) -> None:
    assert told(mount("ConfigMap", "db", url="nowhere", hosts='["a"]')) == [
        "spec.services[2]: the settings of service 'database': give hosts or a url that leads somewhere; correct them"
    ]


def test_bytes_that_are_no_text_are_told(mount: Mount) -> None:
    assert told(mount("ConfigMap", "db", url="x", verify=b"\xff")) == [
        "ConfigMap 'db', key 'verify': holds bytes that are no text in UTF-8; write the value as text"
    ]


def test_a_key_that_cannot_be_read_is_told(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    source = mount("Secret", "db", url="x")

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root, who runs the tests, may read everything
    assert told(source) == ["Secret 'db', key 'url': cannot be read: Permission denied; see the pod's events"]


def test_a_model_that_raises_something_of_its_own_is_told_without_the_text(mount: Mount) -> None:
    assert told(mount("ConfigMap", "db", url="fragile")) == [
        (
            "spec.services[2]: the settings of service 'database': their model raised KeyError; correct them, or let "
            "its validators raise ValueError with what is wrong"
        )
    ]


def test_a_secret_that_nobody_gives_is_told_with_the_place_for_it(mount: Mount) -> None:
    named = "spec.services[2]: the setting 'token' of service 'database' is missing"
    assert told(model=WithToken) == [f"{named}; name a Secret with the key 'token' in secretRef"]
    assert told(mount("Secret", "db", {"user": "user"}, user="x"), model=WithToken) == [
        f"{named}; add the key 'token' to Secret 'db', and list it in spec.services[2].secretRef.keys"
    ]


def test_a_default_of_the_agents_own_holds_its_name_unless_it_is_set() -> None:
    assert read(model=OfTheAgent).settings == OfTheAgent(prefix="support/triage")
    assert read(model=OfTheAgent, settings={"prefix": "x"}).settings == OfTheAgent(prefix="x")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"], ids=["none", "newline", "carriage return"])
def test_what_ends_a_file_is_no_part_of_the_value(mount: Mount, ending: str) -> None:
    secret = mount("Secret", "db", password=f"two\r\nlines{ending}")
    assert read(secret, settings={"url": "x"}).settings == Settings(url="x", password=SecretStr("two\r\nlines"))
    assert list(values_of(secret)) == ["two\r\nlines"]


def unknown(place: str, field: str, remedy: str) -> str:
    return f"{place}: the setting {field!r} of service 'database' does not exist; {remedy}"


@pytest.mark.parametrize(
    ("field", "value", "named", "remedy"),
    [
        ("account", '{"usr": "x"}', "account__usr", "did you mean 'user'?"),
        ("accounts", '[{}, {"usr": "x"}]', "accounts[1]__usr", "did you mean 'user'?"),
        ("named", '{"a": {"usr": "x"}}', "named__a__usr", "did you mean 'user'?"),
        ("pair", '[1, {"usr": "x"}]', "pair[1]__usr", "did you mean 'user'?"),
        ("pools", '[{"sise": 5}]', "pools[0]__sise", "did you mean 'size'?"),
        ("proxy", '{"host": "x", "port": 1}', "proxy__port", "known are host, password"),
        ("limits", '{"rate": 1, "rates": 1}', "limits__rates", "did you mean 'rate'?"),
        ("auth", '{"kind": "basic", "name": "x", "nme": "y"}', "auth__nme", "did you mean 'name'?"),
    ],
    ids=["model", "list", "root model", "tuple", "tuple of any length", "dataclass", "typed dict", "union"],
)
def test_a_field_that_there_is_not_is_refused_inside_a_value_too(
    mount: Mount, field: str, value: str, named: str, remedy: str
) -> None:
    assert told(mount("ConfigMap", "db", **{field: value}), model=Nested) == [
        unknown(f"ConfigMap 'db', key {field!r}", named, remedy)
    ]
    inline = told(settings={field: json.loads(value)}, model=Nested)
    assert [line.partition(": ")[2] for line in inline] == [unknown("", named, remedy).removeprefix(": ")]


def test_a_field_of_another_member_of_a_union_is_refused() -> None:
    assert told(settings={"auth": {"kind": "basic", "name": "x", "token": None}}, model=Nested) == [
        (
            "spec.services[2].settings.auth.token: the setting 'auth__token' of service 'database': unknown field; "
            "correct the value"
        )
    ]


def test_the_members_of_a_union_are_not_told(mount: Mount) -> None:
    place = "ConfigMap 'db', key 'any_auth'"
    assert told(mount("ConfigMap", "db", any_auth='{"nme": "x"}'), model=Nested) == [
        unknown(place, "any_auth__nme", "did you mean 'name'?"),
        f"{place}: the setting 'any_auth__name' of service 'database' is missing; add it to the value",
        f"{place}: the setting 'any_auth__token' of service 'database' is missing; add it to the value",
    ]


def test_a_mapping_may_have_any_key_also_where_a_model_may_stand(mount: Mount) -> None:
    assert read(mount("ConfigMap", "db", free='{"sise": 1}'), model=Nested).settings == Nested(free={"sise": 1})


def test_what_a_value_lacks_is_told_where_the_value_stands(mount: Mount) -> None:
    named = "ConfigMap 'db', key 'proxy': the setting 'proxy__host' of service 'database'"
    assert told(mount("ConfigMap", "db", proxy="{}"), model=Nested) == [f"{named} is missing; add it to the value"]
    named = "ConfigMap 'pair', key 'pair': the setting 'pair[1]' of service 'database'"
    assert told(mount("ConfigMap", "pair", pair="[1]"), model=Nested) == [f"{named} is missing; add it to the value"]


def test_a_field_goes_by_the_names_that_its_model_takes() -> None:
    settings = read(settings={"poolSize": 2, "server": "a", "login": {"password": None}}, model=Aliased).settings
    assert settings == Aliased.model_validate({"poolSize": 2, "host": "a"})
    place = "spec.services[2].settings.size"
    assert told(settings={"size": 2}, model=Aliased) == [
        unknown(place, "size", "known are host, login, poolSize, server")
    ]
    for name in ("size", "poolSize"):
        assert read(settings={name: 2}, model=ByBoth).settings == ByBoth(size=2)


def test_a_model_that_refuses_without_a_word_is_told() -> None:
    assert told(model=Silent) == [
        (
            "spec.services[2]: the settings of service 'database' are refused, and their model does not say why; "
            "correct them"
        )
    ]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("account", '{"password": "hunter2"}', "account__password"),
        ("accounts", '[{}, {"password": "hunter2"}]', "accounts[1]__password"),
        ("named", '{"a": {"password": "hunter2"}}', "named__a__password"),
        ("pair", '[1, {"password": "hunter2"}]', "pair[1]__password"),
        ("tokens", '["hunter2"]', "tokens"),
        ("headers", '{"Authorization": "hunter2"}', "headers"),
        ("proxy", '{"host": "x", "password": "hunter2"}', "proxy__password"),
        ("auth", '{"kind": "bearer", "token": "hunter2"}', "auth__token"),
    ],
    ids=["model", "list", "root model", "tuple", "list of secrets", "mapping of secrets", "dataclass", "union"],
)
def test_a_secret_anywhere_else_is_refused_inside_a_value_too(mount: Mount, field: str, value: str, named: str) -> None:
    (problem,) = told(mount("ConfigMap", "db", **{field: value}), model=Nested)
    assert problem == (
        f"ConfigMap 'db', key {field!r}: the setting {named!r} of service 'database' is a secret, and everybody who "
        f"may read this place can read it; put it into a Secret under the key {field!r} and name that in secretRef"
    )
    assert any("is a secret" in line for line in told(settings={field: json.loads(value)}, model=Nested))
    assert read(mount("Secret", "db", **{field: value}), model=Nested).problems == ()


def test_a_secret_under_another_name_is_a_secret() -> None:
    assert any("is a secret" in line for line in told(settings={"login": {"password": "hunter2"}}, model=Aliased))


def test_keys_inside_a_secrets_value_are_not_told(mount: Mount) -> None:
    problems = told(mount("Secret", "db", named='{"hunter2": {"hunter3": "x"}}'), model=Nested)
    assert problems == [unknown("Secret 'db', key 'named'", "named__…__…", "known are password, user")]


@pytest.mark.parametrize(
    ("dsn", "kind"),
    [
        ("plain hunter2", "value_error"),
        ("custom hunter2", "refused"),
        ("asserted hunter2", "assertion_error"),
        ("http://u:hunter2@db/x", "value_error"),
    ],
    ids=["value error", "custom error", "assertion", "password of an address"],
)
def test_a_validators_words_are_not_repeated_if_they_hold_a_secret(mount: Mount, dsn: str, kind: str) -> None:
    hidden = f"the value is not accepted ({kind}); why is not repeated, since a secret is part of the message"
    assert told(mount("Secret", "db", dsn=dsn), model=Talkative) == [
        f"Secret 'db', key 'dsn': the setting 'dsn' of service 'database': {hidden}; correct the value"
    ]
    assert "hunter2" not in "".join(told(mount("ConfigMap", "db", dsn=dsn), model=Talkative))


def test_a_models_words_about_all_its_fields_hold_no_secret_either(mount: Mount) -> None:
    hidden = "the value is not accepted (value_error); why is not repeated, since a secret is part of the message"
    assert told(mount("Secret", "db", dsn="hunter2"), settings={"name": "x"}, model=Talkative) == [
        f"spec.services[2]: the settings of service 'database': {hidden}; correct them"
    ]


def test_a_validators_words_about_a_secret_are_told_if_they_hold_none(mount: Mount) -> None:
    secret = mount("Secret", "db", connection_string="postgresql://agent:correct-horse-battery@db")
    assert told(secret, model=PostgresSettings) == [
        (
            "spec.services[2]: the settings of service 'database': connection_string names no database; write "
            "postgresql://user:password@host:5432/database; correct them"
        )
    ]
