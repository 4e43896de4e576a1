"""Load and unload: with the token, or where nobody else can reach them; never for a web page."""

import pytest

from models.errors import UsageError
from service.errors import Forbidden, Unauthorized
from service.lifecycle.admin import authorize, check_settings
from service.settings import Settings, load_settings

TOKEN = "correct-horse-battery"


def settings(**given: object) -> Settings:
    return load_settings(**{"model_control_mode": "explicit", "admin_token": TOKEN, **given})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "models.example"])
def test_explicit_control_that_others_can_reach_needs_a_token(host: str) -> None:
    check_settings(settings(host=host))
    with pytest.raises(UsageError, match="SLIPWAY_ADMIN_TOKEN"):
        check_settings(settings(host=host, admin_token=""))
    check_settings(settings(host=host, admin_token="", model_control_mode="poll"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_on_this_machine_alone_it_needs_none(host: str) -> None:
    check_settings(settings(host=host, admin_token=""))


@pytest.mark.parametrize("token", ["short", "with a space in the middle", "not-ascii-ååååååååå"])
def test_a_token_that_cannot_work_stops_the_start_and_is_not_shown(token: str) -> None:
    with pytest.raises(UsageError, match="--admin-token") as told:
        check_settings(settings(admin_token=token))
    assert token not in told.value.message


def test_the_token_is_in_no_text_of_the_settings() -> None:
    assert TOKEN not in repr(settings())
    assert TOKEN not in str(settings().model_dump())


def test_the_right_token_opens() -> None:
    authorize({"authorization": f"Bearer {TOKEN}"}, settings())
    authorize({"authorization": f"bearer  {TOKEN} "}, settings())
    authorize({}, settings(admin_token=""))


@pytest.mark.parametrize(
    "given", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ",
              "Bearer é"],
)  # fmt: skip
def test_anything_else_does_not_and_hears_nothing_about_it(given: str) -> None:
    headers = {"authorization": given} if given else {}
    with pytest.raises(Unauthorized) as told:
        authorize(headers, settings())
    assert TOKEN[:4] not in told.value.message


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:8000", ""])
def test_web_pages_are_kept_out_even_with_the_token(origin: str) -> None:
    with pytest.raises(Forbidden):
        authorize({"origin": origin, "authorization": f"Bearer {TOKEN}"}, settings())
