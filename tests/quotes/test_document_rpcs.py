"""Templates and documents over gRPC, and as files over REST."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from sfa.quotes.v1 import documents_pb2 as pb
from sfa.quotes.v1 import quotes_pb2

from tests.callers import Callers
from tests.quotes.customers import Office, build, document_settings, gateway_before
from tests.quotes.service import line, refusal
from tests.quotes.test_document_pages import PNG, SVG
from tests.stack import Stack


@pytest.fixture
async def office(stack: Stack) -> Office:
    await stack.start("contacts", "opportunities")
    await stack.start("quotes", build=build(document_settings()))
    return Office(stack, "operations")


async def test_a_sent_quote_has_one_document_whoever_asks(office: Office) -> None:
    quote = await office.offer()
    answers = await asyncio.gather(*(office.document(quote) for _ in range(4)))
    hashes = {hashlib.sha256(answer.data).hexdigest() for answer in answers}
    assert len(hashes) == 1
    assert answers[0].content_type == "application/pdf"
    kept = await office.documents.ListQuoteDocuments(pb.ListQuoteDocumentsRequest(id=quote.id))
    assert [(each.hash, each.language, each.template_id) for each in kept.quote_documents] == [
        (hashes.pop(), "en", "")
    ]


async def test_it_stays_as_it_is_when_the_template_changes(office: Office) -> None:
    template = await office.template(is_default=True, language="de", sender_name="Old name")
    quote = await office.offer()
    before = await office.document(quote)
    await office.templates.UpdateDocumentTemplate(
        pb.UpdateDocumentTemplateRequest(
            id=template.id, document_template=pb.DocumentTemplate(sender_name="New name", colour="#000000")
        )
    )
    assert (await office.document(quote)).data == before.data
    other = await office.document(await office.offer())
    assert other.data != before.data


async def test_a_draft_is_set_afresh_and_not_kept(office: Office) -> None:
    deal = await office.deal()
    draft = await office.quote(deal.id, line(await office.product()))
    first = await office.document(draft)
    await office.quotes.UpdateQuote(
        quotes_pb2.UpdateQuoteRequest(id=draft.id, quote=quotes_pb2.Quote(terms="Other terms."))
    )
    assert (await office.document(draft)).data != first.data
    kept = await office.documents.ListQuoteDocuments(pb.ListQuoteDocumentsRequest(id=draft.id))
    assert not kept.quote_documents


async def test_each_language_and_template_has_a_document_of_its_own(office: Office) -> None:
    quote = await office.offer()
    plain, japanese = await office.document(quote), await office.document(quote, language="ja")
    template = await office.template("Red", colour="#aa0000")
    red = await office.document(quote, template_id=template.id)
    assert len({plain.data, japanese.data, red.data}) == 3


async def test_what_is_not_there_is_refused(office: Office) -> None:
    quote = await office.offer()
    nobody = "0198c0de-0000-7000-8000-000000000001"
    assert (await refusal(office.document(quote, language="tlh")))[2] == "language"
    assert (await refusal(office.document(quote, template_id=nobody)))[::2] == (
        grpc.StatusCode.NOT_FOUND, "template_id",
    )  # fmt: skip
    missing = office.document(quotes_pb2.Quote(id=nobody))
    assert (await refusal(missing))[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.caller(role="rep")
async def test_a_rep_sees_the_documents_of_own_quotes_only(office: Office) -> None:
    quote = await office.offer()
    assert (await refusal(Office(office.stack, "rep", name="another").document(quote)))[0] is (
        grpc.StatusCode.NOT_FOUND
    )


async def test_there_is_one_default_template(office: Office) -> None:
    first = await office.template("First", is_default=True)
    second = await office.template("Second", is_default=True)
    listed = await office.templates.ListDocumentTemplates(
        pb.ListDocumentTemplatesRequest(filter="is_default = true")
    )
    assert [each.id for each in listed.document_templates] == [second.id]
    await office.templates.DeleteDocumentTemplate(pb.DeleteDocumentTemplateRequest(id=second.id))
    await office.templates.UpdateDocumentTemplate(
        pb.UpdateDocumentTemplateRequest(id=first.id, document_template=pb.DocumentTemplate(is_default=True))
    )
    assert (await refusal(office.template("First")))[1] == "TEMPLATE_NAME_TAKEN"


async def test_a_template_says_what_is_wrong_with_it(office: Office) -> None:
    assert (await refusal(office.template("")))[2] == "document_template.name"
    assert (await refusal(office.template(language="xx")))[2] == "document_template.language"
    texts = [pb.DocumentTexts(language="de"), pb.DocumentTexts(language="de")]
    assert (await refusal(office.template(translations=texts)))[
        2
    ] == "document_template.translations[1].language"
    assert (await refusal(office.template(colour="red; }")))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_reps_read_templates_and_do_not_write_them(office: Office) -> None:
    template = await office.template()
    rep = Office(office.stack, "rep")
    assert (
        await rep.templates.GetDocumentTemplate(pb.GetDocumentTemplateRequest(id=template.id))
    ).name == "Ours"
    assert (await refusal(rep.template("Mine")))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_a_logo_is_looked_into_kept_and_given_back(office: Office) -> None:
    template = await office.template(sender_name="Sonne")

    async def upload(content: bytes) -> pb.DocumentTemplate:
        return await office.templates.SetDocumentTemplateLogo(
            pb.SetDocumentTemplateLogoRequest(id=template.id, logo=HttpBody(data=content))
        )

    with_logo = await upload(SVG)
    assert with_logo.logo_hash == hashlib.sha256(SVG).hexdigest()
    assert with_logo.logo_media_type == "image/svg+xml"
    read = pb.GetDocumentTemplateLogoRequest(id=template.id)
    assert (await office.templates.GetDocumentTemplateLogo(read)).data == SVG
    assert (await refusal(upload(b"GIF89a")))[1] == "PICTURE_UNREADABLE"
    assert (await upload(PNG)).logo_media_type == "image/png"
    preview = await office.templates.PreviewDocumentTemplate(
        pb.PreviewDocumentTemplateRequest(id=template.id, language="ar", line_count=40)
    )
    assert preview.data.startswith(b"%PDF-")
    assert not (await upload(b"")).logo_hash
    assert (await refusal(office.templates.GetDocumentTemplateLogo(read)))[1] == "LOGO_MISSING"


async def test_documents_can_be_kept_in_a_folder(stack: Stack, tmp_path: Path) -> None:
    await stack.start("opportunities")
    await stack.start("quotes", build=build(document_settings(documents_folder=tmp_path)))
    office = Office(stack, "operations")
    quote = await office.offer()
    document = await office.document(quote)
    hash = hashlib.sha256(document.data).hexdigest()
    (file,) = tmp_path.rglob(hash)
    assert file.read_bytes() == document.data
    assert (await office.document(quote)).data == document.data
    database = await stack.connect("quotes", as_owner=True)
    assert await database.fetchval("SELECT count(*) FROM data.blobs") == 0
    await database.close()


async def test_over_rest_a_document_is_a_file_with_a_version(office: Office, callers: Callers) -> None:
    quote = await office.offer()
    token = callers.token(callers.caller("operations"))
    async with (
        gateway_before(office.stack) as gateway,
        httpx.AsyncClient(base_url=gateway.address, headers={"authorization": f"Bearer {token}"}) as client,
    ):
        path = f"/v1/quotes/{quote.id}:document"
        answer = await client.get(path, params={"language": "de"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"].startswith(f'inline; filename="{quote.number}.pdf"')
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
        assert "content-encoding" not in answer.headers
        again = await client.get(
            path, params={"language": "de"}, headers={"if-none-match": answer.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert (await client.head(path)).headers["content-type"] == "application/pdf"
        assert (await client.get(path, headers={"accept": "application/pdf"})).status_code == 200
        refused = await client.get(path, params={"language": "xx"})
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"

        template = (await client.post("/v1/documentTemplates", json={"name": "Ours"})).json()
        logo = f"/v1/documentTemplates/{template['id']}"
        taken = await client.post(f"{logo}:setLogo", content=PNG, headers={"content-type": "image/png"})
        assert taken.status_code == 200, taken.text
        back = await client.get(f"{logo}/logo")
        assert (back.content, back.headers["content-type"]) == (PNG, "image/png")
        assert "sandbox" in back.headers["content-security-policy"]
        bad = await client.post(f"{logo}:setLogo", content=b"<html>", headers={"content-type": "text/html"})
        assert bad.status_code == 422
