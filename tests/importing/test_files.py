"""Reading CSV: what a CRM's own import has to survive, file by file, and what breaks others."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.importing.files import Line, Table
from deploy.importing.troubles import FileRefused
from tests.shared_data import shared_data

LOADER = "salesforce_dataloader/testfiles"
ACCOUNT = ("NAME", "TYPE", "PHONE", "ACCOUNTNUMBER__C", "WEBSITE", "ANNUALREVENUE", "ORACLE_ID__C")
THREE = ("column1", "column2", "column3")
IDEOGRAPHIC = "\u3000 \u3000"

# Every file: encoding, columns, number of rows, the line of the last one, and the last one's cells.
# ruff: noqa: E501  # one file a line, as long as it is
READ = {
    "20kRows.csv": ("utf-8", ("COLUMN1",), 20000, 20001, ("1",)),
    "SoqlInClauseFromCSV.csv": ("utf-8", ("name", "Oracle_Id__c", "AccountNumber__c"), 20, 21, ("acctNameXyz19", "oracleIdXyz19", "ACCT19")),
    "accountsForInsert.csv": ("utf-8", ("Name", "NumEmp", "Industry", "RichText"), 4, 5, ("Company D", "58", "Fiber Optics", "    4 leading spaces and 2 trailing spaces  ")),
    "acctsWithBinaryDataInRTF.csv": ("utf-8", ("Name", "RICHTEXT__c"), 1, 2, ("Company A", '<img alt="testBinaryDataInRTF" src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQMAAAD+wSzIAAAABlBMVEX///+/v7+jQ3Y5AAAADklEQVQI12P4AIX8EAgALgAD/aNpbtEAAAAASUVORK5CYII"></img>')),
    "bulkV2MultipleJobsCsvTemplate.csv": ("utf-8", ACCOUNT, 100, 101, ("account Upsert #99", "Account", "415-555-0099", "ACCT_99", "http://www.accountUpsert99.com", "99000", "1-000099")),
    "constantMappingInCsv.csv": ("utf-8", ("Name", "NumEmployees"), 2, 3, ("XYZ Corp.", "62999")),
    "constantMappingInCsvClashing.csv": ("utf-8", ("name", "Number of Employees", "Industry"), 2, 3, ("XYZ Corp.", "62999", "Heavy Metals")),
    "createAttachmentMultipleFilesTemplate.csv": ("utf-8", ("Name", "Body", "ParentId"), 3, 4, ("BayBridgeFromTreasureIsland.jpg", "BayBridgeFromTreasureIsland.jpg", "XXX")),
    "createAttachmentTemplate.csv": ("utf-8", ("Name", "Body", "ParentId"), 1, 2, ("TestAttachment_01.txt", "attachment.txt", "XXX")),
    "csvEscapedQuotes.csv": ("utf-8", ("column1", "column2"), 2, 3, ('The "Best" Account', "bla")),
    "csvSeparator.csv": ("utf-8", ("column1", "column2!some", "column3"), 2, 3, ("col21", "col22!somev2", "col23")),
    "csvtext.csv": ("utf-8", THREE, 2, 3, ("row2-1", "row2-2", "row2-3")),
    "csvtext_BOM_UTF16BE.csv": ("utf-16-be", THREE, 2, 3, ("row2-1", "row2-2", "row2-3")),
    "csvtext_BOM_UTF16LE.csv": ("utf-16-le", THREE, 2, 3, ("row2-1", "row2-2", "row2-3")),
    # These two begin with the mark of UTF-16 and are UTF-32 all the same.
    "csvtext_BOM_UTF32BE.csv": ("utf-32-be", THREE, 2, 3, ("row2-1", "row2-2", "row2-3")),
    "csvtext_BOM_UTF32LE.csv": ("utf-32-le", THREE, 2, 3, ("row2-1", "row2-2", "row2-3")),
    "csvtext_BOM_UTF8.csv": ("utf-8", THREE, 2, 3, ("row2-1", "row2-2", "row2-3")),
    "dateEndingInZ.csv": ("utf-8", (*ACCOUNT, "DATE", "DATE_ONLY"), 1, 2, ("account insert #0", "Account", "415-555-0000", "ACCT_0", "http://www.accountInsert0.com", "0", "1-00000", "2010-10-14T12:00:00.000Z", "2010-10-14T12:00:00.000Z")),
    "dateOnlyWithTimeZone.csv": ("utf-8", (*ACCOUNT, "DATE_ONLY"), 2, 3, ("account insert #1", "Account", "415-555-0000", "ACCT_1", "http://www.accountInsert1.com", "0", "1-00001", "2010-10-14T00:00:00.000")),
    "dateUsingDefaultTimeZone.csv": ("utf-8", (*ACCOUNT, "DATE", "DATE_ONLY"), 1, 2, ("account insert #0", "Account", "415-555-0000", "ACCT_0", "http://www.accountInsert0.com", "0", "1-00000", "2010-10-14T12:00:00.000", "2010-10-14T12:00:00.000")),
    "dateWithTimeZone.csv": ("utf-8", (*ACCOUNT, "DATE", "DATE_ONLY"), 2, 3, ("account insert #1", "Account", "415-555-0000", "ACCT_1", "http://www.accountInsert1.com", "0", "1-00001", "2010-10-14T12:00:00.000Z-0300", "2010-10-14T00:00:00.000")),
    "deleteAccountCsvTemplate.csv": ("utf-8", ("ID",), 100, 101, ("id#99",)),
    "emptyFirstRowFieldValueInCsvTemplate.csv": ("utf-8", ("ID", "NAME", "WEBSITE"), 2, 3, ("001x00000035m0jAAA", "account Update #1", "updated")),
    "hardDelete1AccountCsvTemplate.csv": ("utf-8", ("ID",), 1, 2, ("id#0",)),
    "hardDeleteAccountCsvTemplate.csv": ("utf-8", ("ID",), 100, 101, ("id#99",)),
    "hardDeleteBulkApiSetToFalseTemplate.csv": ("utf-8", ("ID",), 1, 2, ("id#0",)),
    "hardDeleteEmptyCsvFileTemplate.csv": ("utf-8", ("ID",), 0, 0, ()),
    "hardDeleteIDFromOtherObjectFailsTemplate.csv": ("utf-8", ("ID",), 1, 2, ("id#0",)),
    "hardDeleteInvalidIDFailsOtherValidIDPassesTemplate.csv": ("utf-8", ("ID",), 3, 4, ("id#2",)),
    "hardDeleteInvalidInputTemplate.csv": ("utf-8", ("ID",), 1, 2, ("not an id",)),
    "hardDeleteSameObjectIDSucceedsOtherObjectIDFailsTemplate.csv": ("utf-8", ("ID",), 2, 3, ("id#1",)),
    "hardDeleteUserPermOffTemplate.csv": ("utf-8", ("ID",), 100, 101, ("id#99",)),
    "insertAccountCsv.csv": ("utf-8", ACCOUNT, 100, 101, ("account insert #99", "Account", "415-555-0099", "ACCT_99", "http://www.accountInsert99.com", "99000", "1-00099")),
    "insertAccountWithMultipleBatchesCSV.csv": ("utf-8", ("oracle_id", "name", "CustomDateTime"), 3, 4, ("o3", "o3acct", "2010-10-14T12:00:00.000GMT")),
    "insertTaskWithContactAsWhoCsv.csv": ("utf-8", ("Subject", "Who:Contact-email"), 1, 2, ("testPolymorphicLookup", f" contactFor@PolymorphicMappingOfTask.com{IDEOGRAPHIC}")),
    "oneToManySforceFieldsMappingInCsv.csv": ("utf-8", ("Name", "NumEmployees", "State"), 2, 3, ("XYZ Corp.", "62999", "New York")),
    "polymorphicRelationshipInAttachment.csv": ("utf-8", ("Name", "Body", "Parent:Account-Oracle_Id__c", "Parent:Contact-Email"), 2, 3, ("contactAttachment.txt", "target/test-classes/testfiles/data/attachment.txt", "", "contact0@testcustomer.com")),
    "timeZoneFormatTesting.csv": ("utf-8", ("Name", "Date"), 12, 13, ("FT", "2009-07-14T14:14:45+0200")),
    "timeZoneFormatTestingWithErrors.csv": ("utf-8", ("Name", "Date"), 6, 7, ("F", "2009-07-14T14:14:45+02:00")),
    "updateAccountCsvTemplate.csv": ("utf-8", ("ID", "NAME", "WEBSITE", "ANNUALREVENUE", "PHONE"), 100, 101, ("001x00000035m2JAAQ", "account Update #99", "http://www.accountUpdate99.com", "99000", "1234567890")),
    "updateAccountWithExternalIdCsvTemplate.csv": ("utf-8", ("NAME", "WEBSITE", "ANNUALREVENUE", "PHONE", "ORACLE_ID__C", "OWNER:User-username"), 5, 6, ("account Update #4", "http://www.accountUpdate4.com", "4000", "1234567890", "1-000004", "standard@org.com")),
    "upsertAccountCsvTemplate.csv": ("utf-8", ACCOUNT, 100, 101, ("account Upsert #99", "Account", "415-555-0099", "ACCT_99", "http://www.accountUpsert99.com", "99000", "1-000099")),
    "upsertAccountSmallTemplate.csv": ("utf-8", ACCOUNT, 10, 11, ("account Upsert #9", "Account", "415-555-0009", "ACCT_9", "http://www.accountUpsert9.com", "9000", "1-000009")),
    "upsertFkAccountNewFormatCsvTemplate.csv": ("utf-8", (*ACCOUNT, "PARENT"), 5, 6, ("account UpsertFk #09", "Account", "415-555-0009", "ACCT_09", "http://www.accountUpsertFk09.com", "09000", "1-000009", "1-000004")),
    "upsertFkAccountOldFormatCsvTemplate.csv": ("utf-8", (*ACCOUNT, "PARENT"), 50, 51, ("account UpsertFk #99", "Account", "415-555-0099", "ACCT_99", "http://www.accountUpsertFk99.com", "99000", "1-000099", "1-000049")),
    "upsertWithRowOffsetTemplate.csv": ("utf-8", ACCOUNT, 10, 11, ("account Upsert #9", "Account", "415-555-0009", "ACCT_9", "http://www.accountUpsert9.com", "9000", "1-000009")),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_reads_what_a_crm_import_has_to_survive(name: str) -> None:
    table = Table.open(shared_data(LOADER) / name)
    rows = list(table.rows())
    encoding, header, count, line, last = READ[name]
    assert (table.encoding, table.header, len(rows)) == (encoding, header, count)
    assert not any(row.trouble for row in rows)
    if rows:
        assert rows[-1] == Line(line, dict(zip(header, last, strict=True)))


def test_there_is_an_expectation_for_every_file() -> None:
    assert sorted(path.name for path in shared_data(LOADER).iterdir()) == sorted(READ)


def test_keeps_white_space_that_belongs_to_a_cell() -> None:
    row = next(Table.open(shared_data(LOADER) / "upsertAccountCsvTemplate.csv").rows())
    assert row.cells["ORACLE_ID__C"] == f"{IDEOGRAPHIC}1-000000{IDEOGRAPHIC}"


def test_takes_a_separator_that_it_is_told() -> None:
    table = Table.open(shared_data(LOADER) / "csvSeparator.csv", separator="!")
    assert table.header == ("column1,column2", "some,column3")


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path) -> list[list[str]]:
    return [list(line.cells.values()) for line in Table.open(path).rows()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a;b\n1,5;2\n3,25;4\n", [["1,5", "2"], ["3,25", "4"]]),
        ("a\tb\n1, and 2\t3\n", [["1, and 2", "3"]]),
        ("a|b\r\n1|2\r\n", [["1", "2"]]),
        ("sep=;\na;b\n1;2\n", [["1", "2"]]),
        ('a,b\n"1\n2","3, ""4"""\n', [["1\n2", '3, "4"']]),
        ('a,b\n"1 \\"2\\" 3",4\n', [['1 "2" 3', "4"]]),
        ("a,b\n\n1,2\n\n", [["1", "2"]]),
        ("a,b,\n1,2,\n", [["1", "2"]]),
        ("a,b\r1,2\r", [["1", "2"]]),
        ("name\nAcme, Inc.\n", [["Acme", " Inc."]]),
    ],
)
def test_finds_out_separator_and_quoting(tmp_path: Path, content: str, expected: list[list[str]]) -> None:
    path = written(tmp_path, content)
    if content.startswith("name\n"):  # one column, and a row that breaks it: refused row by row, not misread
        (row,) = Table.open(path).rows()
        assert row.trouble == "The row has 2 cells where the header has 1."
    else:
        assert rows(path) == expected


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp1252"],
)
def test_finds_out_the_encoding(tmp_path: Path, encoding: str) -> None:
    lines = ["Firma;Straße", *(f"Müller & Söhne {n};Königsallee {n}" for n in range(40))]
    path = written(tmp_path, "\n".join(lines).encode(encoding))
    assert rows(path)[39] == ["Müller & Söhne 39", "Königsallee 39"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty."),
        (b"\n\n", "has no header."),
        (b"PK\x03\x04rest", "is a ZIP archive or an Excel workbook: save it as CSV first."),
        (b"a,b\n\x00\x01\x02\x03\x04\x05,1\n", "is not text."),
        (b"a,a\n1,2\n", "has more than one column called 'a'."),
        (b'a,b\n"1,2\n3,4\n', "the quoting is broken (unexpected end of data)."),
        (b'a,b\n1,2\n"3"x,4\n', "the quoting is broken"),
        (b'a,b\n1,2\n3,"4"x\n', "the quoting is broken"),
    ],
)
def test_refuses_with_a_sentence_what_is_no_table(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused, match=r"file\.csv") as caught:
        rows(written(tmp_path, content))
    assert sentence in str(caught.value)


def test_refuses_a_file_that_leaves_its_encoding(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n" + b"1,2\n" * 5 + b"\xff\xfe\xfa,3\n")
    with pytest.raises(FileRefused, match="is not utf-8 throughout"):
        Table.open(path, encoding="utf-8")
    with pytest.raises(FileRefused, match="there is no encoding called klingon"):
        Table.open(path, encoding="klingon")


def test_says_which_rows_have_too_few_or_too_many_cells(tmp_path: Path) -> None:
    found = list(Table.open(written(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n9,10\n")).rows())
    assert [(line.number, line.trouble) for line in found if line.trouble] == [
        (3, "The row has 1 cells where the header has 2."),
        (4, "The row has 3 cells where the header has 2."),
    ]


def test_says_on_which_line_a_row_begins(tmp_path: Path) -> None:
    found = Table.open(written(tmp_path, 'a,b\n"1\n1",2\n\n3,4\n')).rows()
    assert [line.number for line in found] == [2, 5]


CELL = st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=["Cs", "Cc"]) | st.sampled_from(',;"\n\t|'),
    max_size=8,
)


@given(
    table=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_what_was_written_as_csv_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]], separator: str, encoding: str
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second", "third"), *table])
    path = written(tmp_path_factory.getbasetemp(), buffer.getvalue().encode(encoding))
    assert rows(path) == [list(row) for row in table]
