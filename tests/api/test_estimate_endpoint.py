"""GET /estimate, /tiers and /recommendation: numbers by hand, every wrong query a clear refusal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_service import Service, is_problem, running

from app.api.estimate import parse_hidden
from app.errors import InvalidShape
from app.network.question import Question
from app.network.sizing import Sizing, size_network
from app.settings import Settings

TINY = "/estimate?obs_dim=4&hidden=8"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all: these operations keep nothing, and need no table."""
    with running(Settings(data_dir=tmp_path_factory.mktemp("data"))) as started:
        yield started


def test_parameters_are_those_counted_by_hand(service: Service) -> None:
    body = service.get(TINY).json()
    # trunk 4·8+8; each head 8·64+64, then 64·3+3 for the actor and 64+1 for the critic
    assert body["parameters"] == 40 + 2 * (8 * 64 + 64) + (64 * 3 + 3) + (64 + 1)
    assert [layer["name"] for layer in body["layers"]] == [
        "trunk.0",
        "actor.0",
        "actor.2",
        "critic.0",
        "critic.2",
    ]
    assert sum(layer["parameters"] for layer in body["layers"]) == body["parameters"]
    assert body["rule_of_thumb"] == 4 * 8 + 8 * 64 * 2
    assert body["rule_of_thumb_error_percent"] == pytest.approx(100 * (1056 / 1452 - 1), abs=1e-3)
    assert body["first_layer_share"] == pytest.approx(40 / 1452)


def test_the_notes_network_is_dominated_by_its_first_layer(service: Service) -> None:
    body = service.get("/estimate?obs_dim=5300&hidden=2048,1024,512,256").json()
    assert body["hidden_dims"] == [2048, 1024, 512, 256]
    assert body["layers"][0]["parameters"] == 5300 * 2048 + 2048
    assert 0.79 < body["first_layer_share"] < 0.81
    sizes = body["disk"]["checkpoint"]
    assert sizes["mb"] == round(sizes["bytes"] / 1e6, 2)
    assert sizes["mib"] == round(sizes["bytes"] / 2**20, 2)
    assert (
        body["disk"]["weights_only"]["bytes"] * 2.9
        < sizes["bytes"]
        < body["disk"]["weights_only"]["bytes"] * 3.1
    )


def test_every_tier_has_a_verdict_and_a_default(service: Service) -> None:
    body = service.get(TINY).json()
    tiers = [tier["name"] for tier in service.get("/tiers").json()]
    assert [fit["tier"] for fit in body["fits"]] == tiers
    assert all(fit["fits"] == (fit["free_bytes"] >= 0) for fit in body["fits"])
    defaults = {default["tier"]: default for default in body["tier_defaults"]}
    assert list(defaults) == tiers
    assert defaults["low"]["hidden_dims"] == [256, 128, 64]
    assert "low tier" in defaults["low"]["reasons"]["hidden_dims"]


def test_the_cpu_tier_has_what_this_service_grants(tmp_path: Path) -> None:
    """What is said to fit here is taken by POST /jobs, and what is not is refused there."""
    with running(Settings(data_dir=tmp_path, cpu_memory_bytes=2_000_000_000)) as service:
        body = service.get("/estimate?obs_dim=5300&hidden=8000,8000&device=cpu").json()
        assert body["fits"][-1]["card_bytes"] == body["tier_defaults"][-1]["card_bytes"] == 2_000_000_000
        assert not body["fits"][-1]["fits"]
        assert service.get("/tiers").json()[-1]["smallest_bytes"] == 2_000_000_000


def test_hidden_may_be_written_in_both_ways(service: Service) -> None:
    commas = service.get("/estimate?obs_dim=40&hidden=16,8").json()
    repeated = service.get("/estimate?obs_dim=40&hidden=16&hidden=8").json()
    assert commas == repeated


@pytest.mark.parametrize(
    ("options", "more"),
    [("action_dim=5", 130), ("layer_norm=true", 16), ("action_kind=gaussian&action_dim=3", 3)],
)
def test_options_change_the_parameters(service: Service, options: str, more: int) -> None:
    plain = service.get(TINY).json()["parameters"]
    assert service.get(f"{TINY}&{options}").json()["parameters"] == plain + more


def test_settings_of_ppo_change_memory_not_the_file(service: Service) -> None:
    small = service.get(f"{TINY}&num_envs=8").json()
    large = service.get(f"{TINY}&num_envs=4096&num_steps=512").json()
    assert large["memory"]["total_bytes"] > small["memory"]["total_bytes"]
    assert large["minibatch_size"] == 4096 * 512 // 4
    assert large["disk"]["weights_only"] == small["disk"]["weights_only"]


def test_a_card_asked_about_has_its_own_verdict(service: Service) -> None:
    body = service.get("/estimate?obs_dim=5300&hidden=512,256,128&gpu=Tesla%20T4&num_envs=8192").json()
    device, row = body["device"], next(card for card in body["cards"] if card["name"] == "T4")
    assert (device["name"], device["tier"], device["fits"]) == ("T4", "low", False)
    assert {name: device[name] for name in ("card_bytes", "needed_bytes", "largest_num_envs")} == {
        name: row[name] for name in ("card_bytes", "needed_bytes", "largest_num_envs")
    }
    nearest = "&".join(f"{name}={value}" for name, value in device["nearest_fit"].items())
    again = service.get(f"/estimate?obs_dim=5300&hidden=512,256,128&gpu=t4&{nearest}").json()["device"]
    assert again["fits"]
    assert again["needed_bytes"] == device["nearest_fit_bytes"]
    fuller = f"/estimate?obs_dim=5300&hidden=512,256,128&gpu=t4&num_envs={row['largest_num_envs']}"
    assert service.get(fuller).json()["device"]["fits"]


def test_the_answer_says_what_it_holds_for_and_where_its_numbers_come_from(service: Service) -> None:
    query = "num_envs=32&num_steps=64&num_minibatches=8&precision=bf16&adam=foreach&shared_trunk=false&activation=relu"
    body = service.get(f"/estimate?obs_dim=5300&hidden=64&{query}&lookback=100&features=48&rows=2335").json()
    settings = body["settings"]
    assert (settings["num_envs"], settings["batch_size"], settings["minibatch_size"]) == (32, 2048, 256)
    assert (settings["precision"], settings["adam"], settings["shared_trunk"]) == ("bf16", "foreach", False)
    assert settings["first_layer"] == "auto"
    assert settings["windows"] == {"lookback": 100, "features": 48, "rows": 2335}
    assert all(
        set(constant) == {"name", "value", "unit", "basis", "source"} and constant["source"]
        for constant in body["constants"]
    )
    assert body["device"] is None


def test_a_repeated_question_is_computed_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Question] = []

    def counted(question: Question) -> Sizing:
        asked.append(question)
        return size_network(question)

    monkeypatch.setattr("app.api.estimate.size_network", counted)
    first, again = (service.get(f"{TINY}&num_envs=24") for _ in range(2))
    assert len(asked) == 1
    assert again.content == first.content
    kept, fresh = (dict(each.headers) for each in (again, first))
    each_time = {"date": "", "x-request-id": ""}
    assert {**kept, **each_time} == {**fresh, **each_time}
    assert service.get(f"{TINY}&num_envs=25&num_steps=4").json() != first.json()
    assert len(asked) == 2
    monkeypatch.setattr("app.api.kept_answers.MAX_AGE_SECONDS", -1.0)
    assert service.get(f"{TINY}&num_envs=24").json() == first.json()
    assert len(asked) == 3


def test_refusals_are_not_kept(service: Service) -> None:
    for _ in range(2):
        is_problem(service.get(f"{TINY}&num_envs=0"), 422, "invalid_config")


@pytest.mark.parametrize(
    ("query", "status", "code", "pointer"),
    [
        ("obs_dim=4&hidden=8&gpu=t44", 422, "invalid_input", "gpu"),
        ("obs_dim=4&hidden=8&gpu=" + "x" * 201, 422, "invalid_input", "gpu"),
        ("obs_dim=4&hidden=8&gpu=t4&device=cpu", 422, "invalid_config", "gpu"),
        ("obs_dim=4&hidden=8&gpu=t4&memory_bytes=24000000000", 422, "invalid_config", "memory_bytes"),
        ("obs_dim=4&hidden=8&gpu=t4&precision=bf16", 422, "invalid_config", "precision"),
        ("obs_dim=4&hidden=8&memory_bytes=0", 422, "invalid_config", "memory_bytes"),
        ("obs_dim=4&hidden=8&adam=sgd", 422, "invalid_input", "adam"),
        ("obs_dim=4&hidden=8&world_size=3", 422, "invalid_config", "world_size"),
        ("obs_dim=4&hidden=8&lookback=2", 422, "invalid_config", "features"),
        ("obs_dim=4&hidden=8&lookback=2&features=3&rows=9", 422, "invalid_config", "features"),
        ("obs_dim=4&hidden=8&first_layer=table", 422, "invalid_config", "first_layer"),
        (
            "obs_dim=4&hidden=8&first_layer=table&lookback=2&features=2&rows=9&norm_obs=true",
            422,
            "invalid_config",
            "first_layer",
        ),
        (
            "obs_dim=4800&hidden=8&first_layer=table&lookback=100&features=48&rows=1000000",
            422,
            "invalid_config",
            "first_layer",
        ),
        (
            "obs_dim=4800&hidden=8&first_layer=convolution&lookback=100&features=48&rows=5",
            422,
            "invalid_config",
            "first_layer",
        ),
        ("obs_dim=4&hidden=8&episode_length=0", 422, "invalid_config", "episode_length"),
        ("obs_dim=4&hidden=8&training_mode=slow", 422, "invalid_input", "training_mode"),
        ("obs_dim=4&hidden=0", 422, "invalid_shape", "hidden_dims[0]"),
        ("obs_dim=4&hidden=-3", 422, "invalid_shape", "hidden_dims[0]"),
        ("obs_dim=4&hidden=1000000000", 422, "invalid_shape", "hidden_dims[0]"),
        ("obs_dim=4&hidden=abc", 422, "invalid_shape", "hidden"),
        ("obs_dim=4&hidden=", 422, "invalid_shape", "hidden"),
        ("obs_dim=4&hidden=8,,4", 422, "invalid_shape", "hidden"),
        ("obs_dim=4&hidden=1_0", 422, "invalid_shape", "hidden"),
        ("obs_dim=4&hidden=%D9%A1", 422, "invalid_shape", "hidden"),
        ("obs_dim=4&hidden=" + "9" * 5000, 422, "invalid_shape", "hidden"),
        ("obs_dim=4&hidden=" + ",".join(["8"] * 17), 422, "invalid_shape", "hidden_dims"),
        ("obs_dim=4", 422, "invalid_input", "hidden"),
        ("hidden=8", 422, "invalid_input", "obs_dim"),
        ("obs_dim=0&hidden=8", 422, "invalid_shape", "obs_dim"),
        ("obs_dim=10000001&hidden=8", 422, "invalid_shape", "obs_dim"),
        ("obs_dim=1e3&hidden=8", 422, "invalid_input", "obs_dim"),
        ("obs_dim=4&hidden=8&action_kind=continuous", 422, "invalid_input", "action_kind"),
        ("obs_dim=4&hidden=8&num_envs=0", 422, "invalid_config", "num_envs"),
        ("obs_dim=4&hidden=8&num_minibatches=7", 422, "invalid_config", "num_minibatches"),
        ("obs_dim=4&hidden=8&dataset_bytes=-1", 422, "invalid_input", "dataset_bytes"),
    ],
)
def test_wrong_values_are_refused_with_their_pointer(
    service: Service, query: str, status: int, code: str, pointer: str
) -> None:
    problem = is_problem(service.get(f"/estimate?{query}"), status, code)
    assert problem["pointer"] == pointer
    assert len(problem["detail"]) < 300


def test_an_unknown_parameter_is_refused_with_the_known_ones(service: Service) -> None:
    problem = is_problem(service.get("/estimate?obs_dim=4&hiden=8"), 422, "invalid_input")
    assert problem["pointer"] == "hiden"
    assert problem["hint"].startswith("did you mean hidden?")
    for known in ("obs_dim", "hidden", "num_envs", "device"):
        assert known in problem["hint"]


def test_a_repeated_parameter_is_refused_where_one_value_would_be_passed_over(service: Service) -> None:
    problem = is_problem(service.get(f"{TINY}&num_envs=8&num_envs=16"), 422, "invalid_input")
    assert problem["pointer"] == "num_envs"
    assert problem["detail"] == "query parameter 'num_envs' is given 2 times"
    assert problem["hint"] == "give it once; only hidden may be repeated"
    is_problem(service.get(f"{TINY}&num_envs=8&num_envs=8"), 422, "invalid_input")
    problem = is_problem(service.get("/recommendation?rows=5&rows=6&obs_dim=5"), 422, "invalid_input")
    assert problem["hint"] == "give it once"


def test_several_breaches_are_all_listed(service: Service) -> None:
    problem = is_problem(service.get("/estimate?obs_dim=a&hidden=8&num_envs=b"), 422, "invalid_input")
    assert {breach["pointer"] for breach in problem["errors"]} == {"obs_dim", "num_envs"}


def test_tiers_are_the_notes_table(service: Service) -> None:
    tiers = {tier["name"]: tier for tier in service.get("/tiers").json()}
    assert tiers["h100"]["hidden_dims"] == [1024, 512, 256]
    assert (
        tiers["low"]["smallest_bytes"] < tiers["medium"]["smallest_bytes"] < tiers["high"]["smallest_bytes"]
    )
    is_problem(service.get("/tiers?name=h100"), 422, "invalid_input")


def test_little_data_is_recommended_a_smaller_network(service: Service) -> None:
    few: dict[str, Any] = service.get("/recommendation?rows=2335&obs_dim=5300&use_case=complex").json()
    many = service.get("/recommendation?rows=100000000&obs_dim=5300&use_case=complex").json()
    assert many["chosen"]["hidden_dims"] == [2048, 1024, 512, 256]
    assert few["chosen"]["parameters"] < many["chosen"]["parameters"]
    assert few["warnings"]
    assert many["warnings"] == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("rows=0&obs_dim=5", "rows"),
        ("rows=5&obs_dim=0", "obs_dim"),
        ("rows=5", "obs_dim"),
        ("rows=5&obs_dim=5&use_case=luck", "use_case"),
        ("rows=5&obs_dim=5&tier=low", "tier"),
    ],
)
def test_a_wrong_recommendation_query_is_refused(service: Service, query: str, pointer: str) -> None:
    answer = service.get(f"/recommendation?{query}")
    assert answer.status_code == 422
    assert answer.json()["pointer"] == pointer


def test_parse_hidden_takes_blanks_around_numbers() -> None:
    assert parse_hidden(["16, 8", " 4"]) == (16, 8, 4)
    with pytest.raises(InvalidShape, match="no width"):
        parse_hidden(["16;8"])
