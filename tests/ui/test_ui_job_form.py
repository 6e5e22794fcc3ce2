"""The form that submits a job: prefilled, previewed, refused next to the field, nothing typed lost."""

import json
from typing import Any

import httpx
import pytest
from job_rows import COSTS, HTMX, SAME_ORIGIN, SPEC, submit, upload_googl
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service, is_problem

from app.registry.workers import describe_worker, register_worker

TYPED = {
    "datasets": "googl",
    **{name: str(value) for name, value in COSTS.items()},
    "total_timesteps": "512",
    "hidden_dims": "8",
    "lookback": "5",
    "features": "ret_1",
    "name": "from the <form>",
    "overrides": "gamma=0.9",
}


@pytest.fixture
def service(emptied_service: Service) -> Service:
    return emptied_service


def send(
    service: Service, path: str = "/ui/jobs/new", headers: dict[str, str] = SAME_ORIGIN, **form: Any
) -> httpx.Response:
    return service.post(path, data={**TYPED, **form}, headers=headers)


def held(tree: Any) -> dict[str, str]:
    """What the form's fields hold."""
    found = {
        each.get("name"): each.get("value") for each in tree.iter("input") if each.get("type") != "checkbox"
    }
    found |= {each.get("name"): text_of(each) for each in tree.iter("textarea")}
    for each in tree.iter("select"):
        chosen = [option for option in each.iter("option") if "selected" in option.attrib]
        found[each.get("name")] = (chosen[0].get("value") or text_of(chosen[0])) if chosen else ""
    found["checked"] = [each.get("value") for each in tree.iter("input") if "checked" in each.attrib]
    return found


def wrong(tree: Any) -> dict[str, str]:
    return {
        each.get("id").removesuffix("-wrong"): text_of(each)
        for each in tree.iter("p")
        if (each.get("id") or "").endswith("-wrong") and text_of(each)
    }


def test_an_empty_form_says_what_is_needed_and_what_each_field_means(service: Service) -> None:
    dataset = upload_googl(service)
    tree = read_page(service.get("/ui/jobs/new"))
    needed = [text_of(each) for each in tree.find(".//*[@id='preview']").iter("li")]
    assert needed == [
        "a dataset",
        "total timesteps",
        "fee bps",
        "half spread bps",
        "slippage",
        "borrow bps per year",
    ]
    assert "Half the bid-ask spread" in text_of(tree.find(".//*[@id='half_spread_bps-hint']"))
    box = next(each for each in tree.iter("input") if each.get("type") == "checkbox")
    assert box.get("value") == dataset["id"]
    assert len(held(tree)["key"]) == 32
    assert held(read_page(service.get(f"/ui/jobs/new?dataset={dataset['id']}")))["checked"] == [dataset["id"]]


def test_without_a_dataset_the_form_leads_to_the_upload(service: Service) -> None:
    assert "No dataset yet. Upload one." in text_of(read_page(service.get("/ui/jobs/new")))


def test_the_preview_is_the_api_s(service: Service) -> None:
    upload_googl(service)
    tree = read_fragment(send(service, "/ui/jobs/preview", HTMX))
    preview = service.post("/jobs/preview", json={**SPEC, "overrides": {"gamma": 0.9}}).json()
    said = text_of(tree)
    assert f"{preview['predicted_bytes']:,} B, exactly" in said
    assert preview["reasons"]["tier"] in said
    rows = rows_of(tree, "Does it fit")
    assert [(row[0], row[3]) for row in rows] == [
        (fit["tier"], "yes" if fit["fits"] else "no") for fit in preview["estimate"]["fits"]
    ]
    assert rows_of(tree, "Learning")[0][0] == "total_timesteps"
    assert service.get("/jobs").json()["items"] == []


def test_a_tier_without_a_worker_is_said_with_the_command_that_starts_one(service: Service) -> None:
    upload_googl(service)
    command = "CALIPER_DEFAULT_TIER=cpu celery -A worker.main:app worker"
    said = text_of(read_fragment(send(service, "/ui/jobs/preview", HTMX, tier="cpu")))
    assert "No worker of the cpu tier is alive: the job would wait." in said
    assert command in said
    queue = service.parts.settings.queue_name("cpu")
    with service.parts.database.write() as session:
        register_worker(session, describe_worker("w", queue, "cpu", {}, {}))
    assert "No worker" not in text_of(read_fragment(send(service, "/ui/jobs/preview", HTMX, tier="cpu")))


def test_the_form_submits_the_job_that_it_previews_and_a_doubled_click_makes_one(service: Service) -> None:
    upload_googl(service)
    first, second = (send(service, key="k" * 32) for _ in range(2))
    assert (first.status_code, first.headers["location"]) == (303, second.headers["location"])
    job = service.get(first.headers["location"].removeprefix("/ui")).json()
    assert job["name"] == "from the <form>"
    assert job["config"]["ppo"]["gamma"] == 0.9
    assert job["spec"]["environment"]["costs"] == COSTS
    changed = send(service, key="k" * 32, total_timesteps="1024")
    assert changed.headers["location"] != first.headers["location"]
    assert len(service.get("/jobs").json()["items"]) == 2


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"total_timesteps": "soon"}, "total_timesteps", "is no number"),
        ({"total_timesteps": ""}, "total_timesteps", "required"),
        ({"fee_bps": "-1"}, "fee_bps", "a number from 0 to"),
        ({"hidden_dims": "0, 8"}, "hidden_dims", "0"),
        ({"tier": "cpu", "lookback": "0"}, "lookback", "lookback"),
        ({"overrides": "gama=1"}, "overrides", "unknown field 'gama'"),
        ({"overrides": "learning_rate=-1"}, "overrides", "learning_rate"),
        ({"datasets": "none"}, "datasets", "there is no dataset 'none'"),
        ({"fold": "2"}, "fold", "folds"),
    ],
)
def test_what_is_wrong_stands_next_to_its_field_and_nothing_typed_is_lost(
    service: Service, typed: dict[str, str], field: str, words: str
) -> None:
    dataset = upload_googl(service)
    tree = read_page(send(service, **typed), 404 if field == "datasets" else 422)
    assert words in wrong(tree)[field]
    kept = held(tree)
    expected = {**TYPED, **typed}
    names = expected.keys() - {"datasets"}
    assert {name: kept[name] for name in names} == {name: expected[name] for name in names}
    if field == "datasets":
        assert kept["datasets"] == "none"
    else:
        assert kept["checked"] == [dataset["id"]]
    assert service.get("/jobs").json()["items"] == []


def test_what_does_not_fit_is_answered_with_what_would(service: Service) -> None:
    upload_googl(service)
    big = {"hidden_dims": "30000, 30000", "tier": "low"}
    shown = read_fragment(send(service, "/ui/jobs/preview", HTMX, **big))
    assert "GB" in text_of(shown.find(".//*[@role='alert']"))
    use = next(each for each in shown.iter("button") if each.get("name") == "use")
    assert (use.get("form"), use.get("formaction")) == ("job-form", "/ui/jobs/new")
    tree = read_page(send(service, **big, use=use.get("value")))
    patch = json.loads(use.get("value"))
    changed = held(tree)
    assert changed["name"] == TYPED["name"]
    assert "gamma=0.9" in changed["overrides"]
    if "hidden_dims" in patch:
        assert changed["hidden_dims"] == ", ".join(map(str, patch["hidden_dims"]))
    assert "exactly" in text_of(tree.find(".//*[@id='preview']"))
    assert service.get("/jobs").json()["items"] == []


def test_a_proposed_change_that_cannot_be_read_is_refused(service: Service) -> None:
    assert "cannot be read" in text_of(read_page(send(service, use="[1]"), 422))


def test_a_clone_begins_with_the_spec_of_its_job(service: Service) -> None:
    upload_googl(service)
    job = submit(service, name="first", overrides={"gamma": 0.9}, use_case="quick", hidden_dims=None)
    tree = read_page(service.get(f"/ui/jobs/new?clone={job['id']}"))
    kept = held(tree)
    assert (kept["name"], kept["preset"], kept["overrides"]) == ("first", "use_case:quick", "gamma=0.9")
    assert (kept["fee_bps"], kept["slippage"], kept["lookback"], kept["features"]) == (
        "5",
        "0.02",
        "5",
        "ret_1",
    )
    assert (kept["low"], kept["targets"], kept["tier"]) == ("", "", "")
    assert f"{job['predicted_bytes']:,} B, exactly" in text_of(tree)
    read_page(service.get("/ui/jobs/new?clone=job_none"), 404)


def test_every_fold_may_be_trained_at_once(service: Service) -> None:
    upload_googl(service)
    answer = send(service, folds="2", all_folds="yes", walk_forward="g")
    assert answer.status_code == 303
    jobs = [service.get(f"/jobs/{each['id']}").json() for each in service.get("/jobs").json()["items"]]
    assert [(job["spec"]["fold"], job["spec"]["walk_forward"]) for job in jobs] == [(2, "g"), (1, "g")]


def test_without_a_script_the_preview_is_the_whole_page(service: Service) -> None:
    upload_googl(service)
    tree = read_page(send(service, "/ui/jobs/preview"))
    assert held(tree)["name"] == TYPED["name"]
    assert "exactly" in text_of(tree.find(".//*[@id='preview']"))


def test_another_site_submits_nothing(service: Service) -> None:
    upload_googl(service)
    is_problem(send(service, headers={"Sec-Fetch-Site": "cross-site"}), 403, "cross_origin")
    assert service.get("/jobs").json()["items"] == []


def test_with_a_script_a_refusal_comes_as_the_form_and_a_job_as_its_address(service: Service) -> None:
    upload_googl(service)
    tree = read_fragment(send(service, headers=HTMX, total_timesteps="soon"))
    assert "is no number" in wrong(tree)["total_timesteps"]
    focused = [each.get("name") for each in tree.iter("input") if "autofocus" in each.attrib]
    assert focused == ["total_timesteps"]
    answer = send(service, headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"][:13]) == (204, "/ui/jobs/job_")
