"""Mappings: what is wrong in one is said with its line; what is right makes the rows that were meant."""

# ruff: noqa: E501  # one case a line, as long as it is

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from deploy.importing.mapping import load, singular
from deploy.importing.records import Folding, Plan, plans
from deploy.importing.troubles import FileRefused, ImportTrouble, MappingInvalid, RowRefused
from tests.shared_data import shared_data

HEAD = """\
    system: test
    currency: USD
    sources:
      deals: {files: "*.csv"}
"""


class Everything:
    """Whatever a row looks up is there, except what is called unknown."""

    def find(self, entity: str, key: str, field: str | None, currency: str | None) -> Any:
        return None if key == "unknown" else f"{entity}/{key}{f'/{field}/{currency}' if field else ''}"

    def stage(self, name: str, pipeline: str | None) -> str:
        return f"stage/{name}"


def written(folder: Path, text: str) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(dedent(text), "utf-8")
    return path


def plan(folder: Path, fields: str, csv: str, *, top: str = "", more: str = "") -> Plan:
    entity = "\n".join(f"    {line}" for line in [*fields.splitlines(), *more.splitlines()])
    text = f"{dedent(HEAD)}{dedent(top)}entities:\n  deals:\n    source: deals\n    collection: deals\n    key: '{{id}}'\n{entity}\n"
    (folder / "deals.csv").write_text(csv, "utf-8")
    path = folder / "mapping.yaml"
    path.write_text(text, "utf-8")
    return plans(load(path), folder)[0][0]


def made(plan: Plan) -> list[dict[str, Any] | str]:
    """Each row as it would be sent, or why it would not be."""
    results: list[dict[str, Any] | str] = []
    for row in plan.rows():
        try:
            results.append(plan.record(row, Everything()).content)
        except RowRefused as refused:
            results.append(f"{refused.reason}: {refused}")
    return results


def value(folder: Path, spec: str, cell: str, *, top: str = "") -> Any:
    """What becomes of one cell by one value of a mapping."""
    (result,) = made(plan(folder, f"fields: {{it: {spec}}}", f'id;cell\n1;"{cell}"\n', top=top))
    return result if isinstance(result, str) else result["deal"].get("it")


@pytest.mark.parametrize(
    ("spec", "cell", "expected"),
    [
        ('"{cell}"', " x ", " x "),
        ('"{cell}"', "", None),
        ('"<{cell}> {{y}}"', "x", "<x> {y}"),
        ('"{cell} {id}"', "", " 1"),
        ('"{cell|slug}@example.org"', "Zoë Mei-Mei  O'Hara", "zoe.mei-mei.o.hara@example.org"),
        ('"{cell|upper}"', "de", "DE"),
        ("constant", "x", "constant"),
        ("7", "x", 7),
        ("true", "x", True),
        ("[REP, null]", "x", ["REP"]),
        ('{inner: {deeper: "{cell}"}}', "x", {"inner": {"deeper": "x"}}),
        ('{inner: {deeper: "{cell}"}}', "", None),
        ('[{number: "{cell}"}]', "x", [{"number": "x"}]),
        ('[{number: "{cell}"}]', "", None),
        ('{from: "{cell}", type: integer}', "1,234", 1234),
        ('{from: "{cell}", type: integer}', "12.5", "VALUE_INVALID: deal.it: '12.5' is not a whole number."),
        ('{from: "{cell}", type: decimal}', "1,234.50", "1234.50"),
        ('{from: "{cell}", type: decimal}', "12,34", "VALUE_INVALID: deal.it: '12,34' is not a number."),
        ('{from: "{cell}", type: decimal}', "NaN", "VALUE_INVALID: deal.it: 'NaN' is not a number."),
        ('{from: "{cell}", type: boolean}', "Yes", True),
        ('{from: "{cell}", type: boolean}', "maybe", "VALUE_INVALID: deal.it: 'maybe' is not one of true, yes, 1, false, no, 0."),
        ('{from: "{cell}", type: money}', "-0.5", {"currencyCode": "USD", "units": "0", "nanos": -500000000}),
        ('{from: "{cell}", type: money, times: 1000000, currency: EUR}', "1.5", {"currencyCode": "EUR", "units": "1500000", "nanos": 0}),
        ('{from: "{cell}", type: money}', "0.0000000001", "VALUE_INVALID: deal.it: '0.0000000001' is not an amount with at most nine decimals."),
        ('{from: "{cell}", type: date}', "2017-03-01", {"year": 2017, "month": 3, "day": 1}),
        ('{from: "{cell}", type: date}', "3/1/2017", "VALUE_INVALID: deal.it: '3/1/2017' is not a date of the form iso."),
        ('{from: "{cell}", type: date, dates: ["%m/%d/%Y"]}', "3/1/2017", {"year": 2017, "month": 3, "day": 1}),
        ('{from: "{cell}", type: timestamp}', "2017-03-01", "2017-03-01T00:00:00+00:00"),
        ('{from: "{cell}", type: timestamp}', "2010-10-14T12:00:00.000-0300", "2010-10-14T15:00:00+00:00"),
        ('{from: "{cell}", type: timestamp, dates: ["%m/%d/%Y %H:%M:%S%z"]}', "07/15/2009 02:14:45+0800", "2009-07-14T18:14:45+00:00"),
        ('{from: "{cell}", translate: {GTXPro: GTX Pro}}', "GTXPro", "GTX Pro"),
        ('{from: "{cell}", translate: {GTXPro: GTX Pro}}', "MG", "MG"),
        ('{from: "{cell}", translate: {No: false, Select: null}}', "No", False),
        ('{from: "{cell}", translate: {No: false, Select: null}}', "Select", None),
        ('{from: "{cell}", default: none}', "", "none"),
        ('{from: "{cell}", required: true}', "", "VALUE_MISSING: deal.it is missing."),
        ('{from: "{cell}", when: {cell: [a, b]}}', "b", "b"),
        ('{from: "{cell}", when: {cell: [a, b]}}', "c", None),
        ('{from: "{cell}", unless: {cell: "*"}, default: x}', "c", None),
        ('{first: [{from: "{cell}", when: {cell: a}}, otherwise]}', "b", "otherwise"),
        ('{lookup: deals, key: "{cell}"}', "4711", "deals/4711"),
        ('{lookup: deals, key: "{cell}"}', "", None),
        ('{lookup: deals, key: "{cell}", field: listPrice}', "4711", "deals/4711/listPrice/USD"),
        ('{lookup: deals, key: "{cell}"}', "unknown", "LOOKUP_FAILED: There is nothing in deals known as test:unknown."),
        ('{lookup: deals, key: "{cell}", unknown: omit}', "unknown", None),
        ('{stage: {from: "{cell}", translate: {Engaging: Qualification}}}', "Engaging", "stage/Qualification"),
    ],
)  # fmt: skip
def test_makes_values(tmp_path: Path, spec: str, cell: str, expected: Any) -> None:
    assert value(tmp_path, spec, cell) == expected


@pytest.mark.parametrize(
    ("top", "spec", "cell", "expected"),
    [
        ('numbers: {decimal: ",", thousands: "."}', "decimal", "1.234,5", "1234.5"),
        (
            'numbers: {decimal: ",", thousands: "."}',
            "decimal",
            "1.5",
            "VALUE_INVALID: deal.it: '1.5' is not a number.",
        ),
        ('numbers: {decimal: ",", thousands: " "}', "decimal", "1 234,5", "1234.5"),
        ("time_zone: America/New_York", "timestamp", "2017-07-01", "2017-07-01T04:00:00+00:00"),
        (
            "time_zone: America/New_York",
            "date",
            "2017-07-01T02:00:00Z",
            {"year": 2017, "month": 6, "day": 30},
        ),
        ("missing: [Select, n/a]", "text", "Select", None),
        ("trim: true", "text", "  x\u3000", "x"),
        ("yes: [ja]", "boolean", "JA", True),
    ],
)
def test_reads_cells_as_the_mapping_says(
    tmp_path: Path, top: str, spec: str, cell: str, expected: Any
) -> None:
    assert value(tmp_path, f'{{from: "{{cell}}", type: {spec}}}', cell, top=top + "\n") == expected


def test_a_row_has_its_external_id_its_times_and_its_past(tmp_path: Path) -> None:
    more = """\
row: {managerId: "{owner}"}
effective: {from: "{closed}", type: timestamp}
history:
  - when: {closed: "*"}
    effective: {from: "{opened}", type: timestamp}
    fields: {name: "was {name}"}
"""
    csv = "id,name,owner,opened,closed\n7,x,o,2017-01-01,2017-02-01\n8,y,,2017-01-01,\n,z,,,\n"
    assert made(plan(tmp_path, 'fields: {name: "{name}"}', csv, more=more)) == [
        {
            "deal": {"name": "x", "externalIds": [{"system": "test", "id": "7"}]},
            "managerId": "o",
            "effectiveTime": "2017-02-01T00:00:00+00:00",
            "history": [{"deal": {"name": "was x"}, "effectiveTime": "2017-01-01T00:00:00+00:00"}],
        },
        {"deal": {"name": "y", "externalIds": [{"system": "test", "id": "8"}]}},
        "KEY_MISSING: The row has no key.",
    ]


def test_a_row_that_is_not_meant_is_passed_over(tmp_path: Path) -> None:
    made_of = plan(
        tmp_path, "fields: {name: x}", "id,kind\n1,a\n2,b\n3,\n", more="when: {kind: '*'}\nunless: {kind: b}"
    )
    assert [row.line for row in made_of.rows()] == [2]


def test_columns_are_put_right_before_anything_reads_them(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("id,product\n1, GTXPro\n2,-\n", "utf-8")
    text = """\
        system: test
        sources:
          deals: {files: deals.csv, columns: {product: {trim: true, translate: {GTXPro: GTX Pro}, missing: ["-"]}}}
        entities:
          deals: {source: deals, collection: deals, key: "{id}", fields: {name: "{product}"}}
    """
    (found,), _ = plans(load(written(tmp_path, text)), tmp_path)
    assert [row["deal"].get("name") for row in made(found) if isinstance(row, dict)] == ["GTX Pro", None]


def test_who_refers_to_others_of_its_kind_comes_after_them(tmp_path: Path) -> None:
    csv = "id,parent\na,b\nb,c\nc,\nd,elsewhere\ne,e\nx,y\ny,x\n"
    found = plan(tmp_path, 'fields: {parentId: {lookup: deals, key: "{parent}"}}', csv)
    assert [[found.key(row) for row in group] for group in found.groups()] == [
        ["c", "d", "e"],
        ["b"],
        ["a"],
        ["x", "y"],
    ]


def test_the_same_said_twice_is_one_record_and_a_contradiction_is_refused(tmp_path: Path) -> None:
    found = plan(tmp_path, 'fields: {name: "{name}"}', "id,name\n1,a\n1,a\n1,b\n")
    folding, records = Folding(), [found.record(row, Everything()) for row in found.rows()]
    assert (folding.is_new(records[0]), folding.is_new(records[1])) == (True, False)
    with pytest.raises(RowRefused, match=r"Line 2 of deals\.csv says something else of '1'\."):
        folding.is_new(records[2])


def test_entities_come_after_those_that_they_look_up_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n", "utf-8")
    text = """\
        system: test
        sources: {a: {files: A.CSV}, b: {files: b.csv}}
        entities:
          deals: {source: a, collection: deals, key: "{id}", fields: {accountId: {lookup: accounts, key: "{id}"}}}
          others: {source: b, collection: others, key: "{id}", fields: {}}
          accounts: {source: a, collection: accounts, key: "{id}", fields: {ownerId: {lookup: others, key: "{id}"}}}
    """
    found, absent = plans(load(written(tmp_path, text)), tmp_path)
    assert ([each.name for each in found], absent) == (["accounts", "deals"], ["b"])
    circle = text.replace("fields: {}", 'fields: {x: {lookup: accounts, key: "{id}"}}')
    with pytest.raises(MappingInvalid, match="need each other"):
        plans(load(written(tmp_path, circle)), tmp_path)


def test_a_file_without_a_column_that_is_needed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"deals\.csv: has no column 'name', but id, title\."):
        plan(tmp_path, 'fields: {name: "{name}"}', "id,title\n1,x\n")


def test_a_folder_without_a_file_that_is_meant_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, dedent(HEAD) + "entities: {}\n")
    with pytest.raises(ImportTrouble, match="there is no file here that the mapping knows"):
        plans(load(path), tmp_path)
    with pytest.raises(ImportTrouble, match="there is no such file or folder"):
        plans(load(path), tmp_path / "nowhere")


ENTITY = "entities:\n  deals:\n    source: deals\n    collection: deals\n    key: '{id}'\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "mapping.yaml, line 1: expected the node content"),
        ("", "mapping.yaml: is no mapping: it begins with `system:`, `sources:` and `entities:`."),
        ("system: a\nsystem: b\n", "mapping.yaml, line 2: 'system' stands twice."),
        ("system: A B\nsources: {}\nentities: {}\n", "line 1: system: String should match pattern"),
        (f"{dedent(HEAD)}{ENTITY}    fieldz: {{}}\n", "line 10: entities.deals.fieldz: there is no such word here."),
        (f"{dedent(HEAD)}{ENTITY}    fields:\n      x: {{from: a, typ: date}}\n", "line 11: entities.deals.fields.x.typ: there is no"),
        (f"{dedent(HEAD)}{ENTITY}    fields:\n      x: {{from: a, type: day}}\n", "line 11: entities.deals.fields.x.type: Input should be"),
        (f"{dedent(HEAD)}{ENTITY}    fields:\n      x: {{from: a, stage: b}}\n", "line 11: entities.deals.fields.x: a value comes from one of"),
        (f"{dedent(HEAD)}{ENTITY}    fields:\n      x: {{lookup: deals}}\n", "lookup and key belong together"),
        (f"{dedent(HEAD)}{ENTITY}    fields:\n      x: {{lookup: nothing, key: a}}\n", "there is no entity 'nothing' to look up"),
        (f"{dedent(HEAD)}{ENTITY.replace('source: deals', 'source: nowhere')}    fields: {{}}\n", "there is no source 'nowhere', but deals"),
        (f"time_zone: Mars\n{dedent(HEAD)}entities: {{}}\n", "line 1: time_zone: there is no time zone 'Mars'."),
        (f"dates: ['%m/%d/%Y', '%d/%m/%Y']\n{dedent(HEAD)}entities: {{}}\n", "%m/%d/%Y and %d/%m/%Y cannot be told apart"),
        (f"numbers: {{decimal: ',', thousands: ','}}\n{dedent(HEAD)}entities: {{}}\n", "are the same"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_and_where(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(MappingInvalid) as caught:
        load(written(tmp_path, text))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [("{cell|shout}", "there is no word 'shout'"), ("{cell", "a brace by itself is doubled")],
)
def test_refuses_a_template_that_is_none(tmp_path: Path, template: str, sentence: str) -> None:
    with pytest.raises(MappingInvalid, match=sentence):
        value(tmp_path, f'"{template}"', "x")


def test_knows_the_singular_of_a_collection() -> None:
    assert [singular(each) for each in ("opportunities", "priceBookEntries", "users")] == [
        "opportunity",
        "priceBookEntry",
        "user",
    ]


def test_the_shipped_mapping_reads_both_copies_of_the_deals_alike() -> None:
    mapping = load(Path(__file__).parents[2] / "docs" / "examples" / "maven_crm.yaml")
    folder = shared_data("maven_crm")
    whole, nothing = plans(mapping, folder)
    american, absent = plans(mapping, folder / "us_dates")
    assert (nothing, absent) == ([], ["teams", "accounts", "products"])
    assert made(whole[-1]) == made(american[-1])
    assert len(made(american[-1])) == 8800
