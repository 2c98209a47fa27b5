"""Imports that meet trouble: they wait, go on where they stopped, and lose or double nothing."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest

from deploy.importing.client import Api, SignIn, batches
from deploy.importing.journal import Journal
from deploy.importing.mapping import load
from deploy.importing.records import plans
from deploy.importing.run import Import, Summary
from deploy.importing.session import Silence
from deploy.importing.troubles import ImportTrouble, ServerRefused
from tests.importing.bulk_api import Answer, BulkApi, problem

MAPPING = """\
system: test
sources: {deals: {files: deals.csv}, people: {files: people.csv}}
entities:
  people:
    {source: people, collection: users, key: "{person}", fields: {name: "{person}"}}
  deals:
    source: deals
    collection: deals
    key: "{id}"
    fields: {name: "{name}", parentId: {lookup: deals, key: "{parent}"}, ownerId: {lookup: people, key: "{owner}"}}
"""
PASSWORD = SignIn(user="ops", password="right")


class World:
    """A folder to import from, and a server to import to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = BulkApi()
        (folder / "mapping.yaml").write_text(MAPPING, "utf-8")
        (folder / "people.csv").write_text("person\nada\nbob\n", "utf-8")
        self.deals(1200)

    def deals(self, count: int) -> None:
        rows = "".join(f"{n},deal {n},,{'ada' if n % 2 else 'bob'}\n" for n in range(count))
        (self.folder / "deals.csv").write_text(f"id,name,parent,owner\n{rows}", "utf-8")

    async def run(self, *, sign_in: SignIn = PASSWORD, dry_run: bool = False, resume: bool = True) -> Summary:
        mapping = load(self.folder / "mapping.yaml")
        ordered, _ = plans(mapping, self.folder)
        async with Api("http://sfa", sign_in, patience=2, transport=httpx.MockTransport(self.server)) as api:
            await api.get("/v1/me")
            files = {table.path.name: table.digest for plan in ordered for table in plan.tables}
            journal = Journal(
                self.folder / "state",
                {"files": files},
                name="dry-run" if dry_run else "results",
                resume=resume,
            )
            try:
                summary = await Import(mapping, ordered, api, journal, Silence(), dry_run=dry_run).run()
                journal.finish()
            finally:
                journal.write_results([plan.name for plan in ordered])
                journal.close()
        return summary

    @property
    def results(self) -> list[dict[str, str]]:
        with (self.folder / "state" / "results.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def once(path: str, answer: Answer) -> Callable[[httpx.Request], Answer]:
    """Answers the first request to a path; further ones get through."""
    left = [answer]

    def trouble(request: httpx.Request) -> Answer:
        return left.pop() if left and request.url.path.endswith(path) else None

    return trouble


async def test_everything_goes_in_and_a_second_time_changes_nothing(world: World) -> None:
    first = await world.run()
    assert first.as_json()["entities"] == {
        "people": {"created": 2, "updated": 0, "unchanged": 0, "rejected": 0},
        "deals": {"created": 1200, "updated": 0, "unchanged": 0, "rejected": 0},
    }
    assert world.server.records["7"] == {
        "id": "id-7", "name": "deal 7", "ownerId": "id-ada", "externalIds": [{"system": "test", "id": "7"}],
    }  # fmt: skip
    second = await world.run()
    assert second.total == {"unchanged": 1202}
    assert not second.resumed
    assert len(set(world.server.keys)) == len(world.server.keys)


async def test_what_stands_beside_the_rows_goes_with_every_request(world: World) -> None:
    (world.folder / "mapping.yaml").write_text(MAPPING + "    request: {skipGates: true}\n", "utf-8")
    bodies = []
    world.server.trouble = lambda request: bodies.append((request.url.path, request.content))
    await world.run()
    sent = [orjson.loads(content) for path, content in bodies if path == "/v1/deals:batchUpsert"]
    assert len(sent) > 1
    assert all(body["skipGates"] is True for body in sent)
    assert not any(b"skipGates" in content for path, content in bodies if path == "/v1/users:batchUpsert")


async def test_each_row_has_its_result_in_the_order_of_the_files(world: World) -> None:
    (world.folder / "deals.csv").write_text(
        "id,name,parent,owner\n1,a,,ada\n2,bad,,\n3,c,,nobody\n1,a,,ada\n4\n"
    )
    summary = await world.run()
    assert summary.total == {"created": 3, "unchanged": 1, "rejected": 3}
    assert [(row["file"], row["line"], row["outcome"], row["reason"]) for row in world.results] == [
        ("people.csv", "2", "created", ""),
        ("people.csv", "3", "created", ""),
        ("deals.csv", "2", "created", ""),
        ("deals.csv", "3", "rejected", "BAD"),
        ("deals.csv", "4", "rejected", "LOOKUP_FAILED"),
        ("deals.csv", "5", "unchanged", "SAID_BEFORE"),
        ("deals.csv", "6", "rejected", "ROW_MALFORMED"),
    ]
    assert world.results[4]["error"] == "There is nothing in people known as test:nobody."


async def test_what_is_not_in_the_files_is_looked_up_on_the_server(world: World) -> None:
    await world.run()
    (world.folder / "people.csv").unlink()
    assert (await world.run()).counts == {"deals": {"unchanged": 1200}}


async def test_parents_are_there_before_their_children(world: World) -> None:
    (world.folder / "deals.csv").write_text("id,name,parent,owner\n1,a,2,\n2,b,3,\n3,c,,\n")
    assert (await world.run()).total["rejected"] == 0
    assert [world.server.records[key]["parentId"] for key in "12"] == ["id-2", "id-3"]


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(world: World) -> None:
    summary = await world.run(dry_run=True)
    assert summary.total == {"created": 1202}
    assert world.server.records == {}
    again = await world.run(dry_run=True)
    assert again.total == {"created": 1202}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, headers={"retry-after": "0"}),
        httpx.Response(429, headers={"retry-after": "0"}),
        problem(504, "Too slow."),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
    ],
)
async def test_waits_while_the_server_cannot(world: World, answer: Answer) -> None:
    world.server.trouble = once("deals:batchUpsert", answer)
    assert (await world.run()).total == {"created": 1202}


async def test_an_answer_that_got_lost_doubles_nothing(world: World) -> None:
    lost: list[httpx.Request] = []

    def trouble(request: httpx.Request) -> Answer:
        if lost or not request.url.path.endswith("deals:batchUpsert"):
            return None
        lost.append(request)
        world.server(request)  # it was written, and nobody heard of it
        return httpx.ReadError("cut off")

    world.server.trouble = trouble
    summary = await world.run()
    assert summary.total == {"created": 1202}


async def test_goes_on_where_it_was_cut_off(world: World) -> None:
    def trouble(request: httpx.Request) -> Answer:
        cut = request.url.path.endswith("deals:batchUpsert") and b'"deal 1100"' in request.content
        return problem(400, "Maintenance.") if cut else None

    world.server.trouble = trouble
    with pytest.raises(ServerRefused, match=r"deals: the server refuses the request: Maintenance\."):
        await world.run()
    before = list(world.server.keys)
    with (world.folder / "state" / "results.jsonl").open("ab") as journal:
        journal.write(b'{"entity": "deals", "part": 2, "resu')  # the power went in the middle of a line
    world.server.trouble = lambda _: None
    summary = await world.run()
    assert summary.resumed
    assert summary.total == {"created": 1202}
    assert len(world.server.records) == 1202
    assert len(world.results) == 1202
    sent_again = world.server.keys[len(before) :]
    assert 1 <= len(sent_again) <= 3
    assert world.server.keys[0].split("-")[1] == sent_again[0].split("-")[1]


async def test_another_file_is_another_import(world: World) -> None:
    world.server.trouble = once("deals:batchUpsert", problem(400, "Maintenance."))
    with pytest.raises(ServerRefused):
        await world.run()
    world.deals(1201)
    summary = await world.run()
    assert not summary.resumed
    assert len(world.server.records) == 1203


async def test_two_imports_cannot_share_a_state(world: World) -> None:
    journal = Journal(world.folder / "state", {})
    with pytest.raises(ImportTrouble, match="another import is running"):
        Journal(world.folder / "state", {})
    journal.close()


async def test_rows_that_the_server_refuses_as_a_whole_are_taken_out(world: World) -> None:
    def trouble(request: httpx.Request) -> Answer:
        if not request.url.path.endswith("deals:batchUpsert"):
            return None
        rows = orjson.loads(request.content)["rows"]
        bad = [index for index, row in enumerate(rows) if row["deal"]["name"] in ("deal 3", "deal 77")]
        errors = [{"field": f"rows[{index}].deal.name", "detail": "is too long"} for index in bad]
        return problem(422, "Two are wrong.", reason="INVALID_REQUEST", errors=errors) if bad else None

    world.server.trouble = trouble
    summary = await world.run()
    assert summary.total == {"created": 1200, "rejected": 2}
    rejected = [row for row in world.results if row["outcome"] == "rejected"]
    assert [(row["key"], row["field"], row["error"]) for row in rejected] == [
        ("3", "deal.name", "is too long"),
        ("77", "deal.name", "is too long"),
    ]


async def test_a_request_that_is_too_large_is_sent_in_parts(world: World) -> None:
    def trouble(request: httpx.Request) -> Answer:
        large = (
            request.url.path.endswith("deals:batchUpsert")
            and len(orjson.loads(request.content)["rows"]) > 200
        )
        return problem(413, "Too large.") if large else None

    world.server.trouble = trouble
    assert (await world.run()).total == {"created": 1202}


async def test_signs_in_once_more_where_the_token_ended(world: World) -> None:
    world.server.trouble = once("deals:batchUpsert", problem(401, "The token has ended."))
    assert (await world.run()).total == {"created": 1202}
    assert world.server.sign_ins == ["password", "refresh_token"]


@pytest.mark.parametrize(
    ("sign_in", "sentence"),
    [
        (SignIn(user="ops", password="wrong"), r"ops cannot sign in: User or password is wrong\."),
        (SignIn(token="old"), r"The server does not accept the sign-in: The token has ended\."),
    ],
)
async def test_says_who_cannot_sign_in(world: World, sign_in: SignIn, sentence: str) -> None:
    with pytest.raises(ServerRefused, match=sentence):
        await world.run(sign_in=sign_in)


async def test_gives_up_where_nobody_answers(world: World) -> None:
    world.server.trouble = lambda _: httpx.ConnectError("refused")
    with pytest.raises(ServerRefused, match="http://sfa cannot be reached"):
        await asyncio.wait_for(world.run(), 10)


def test_a_request_has_at_most_500_rows_and_3_megabytes() -> None:
    def sizes(rows: list[bytes]) -> list[int]:
        return [span.stop - span.start for span in batches(rows)]

    assert sizes([b"x"] * 1001) == [500, 500, 1]
    assert sizes([b"x" * 1_000_000] * 5) == [2, 2, 1]
    assert sizes([b"x" * 5_000_000, b"x"]) == [1, 1]
    assert sizes([]) == []
