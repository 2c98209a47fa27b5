"""How a REST request becomes the request of an RPC, and its answer becomes REST."""

import uuid

import httpx
from sfa.api.v1 import resource_pb2
from sfa.opportunities.v1 import opportunities_pb2 as pb

from tests.gateway.conftest import Answering, Start, opportunity

ID = "0198c0de-0000-7000-8000-000000000001"


async def test_a_create_fills_the_body_field_and_answers_201_with_the_place(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.on("CreateOpportunity", lambda request: opportunity(name=request.opportunity.name))
    body = {"name": "  Grün  ", "amount": {"currencyCode": "EUR", "units": 12, "nanos": 500000000}}
    answer = await client.post(
        "/v1/opportunities?effectiveTime=2017-03-01T00:00:00%2B01:00",
        json=body,
        headers={"Idempotency-Key": '"a b"'},
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/opportunities/{ID}"
    assert answer.headers["etag"] == '"3"'
    assert answer.json()["name"] == "  Grün  "
    request = answering.last.request
    assert request.opportunity.amount.units == 12
    assert request.effective_time.ToJsonString() == "2017-02-28T23:00:00Z"
    assert request.request_id == "a b"


async def test_a_write_without_a_key_gets_one(client: httpx.AsyncClient, answering: Answering) -> None:
    await client.post(f"/v1/opportunities/{ID}:reopen")
    assert uuid.UUID(answering.last.request.request_id).version == 7


async def test_a_verb_fills_path_body_and_version(client: httpx.AsyncClient, answering: Answering) -> None:
    answering.on("MoveOpportunity", opportunity())
    await client.post(f"/v1/opportunities/{ID}:move", json={"stageId": "s"}, headers={"If-Match": 'W/"7"'})
    request = answering.last.request
    assert (request.id, request.stage_id, request.etag) == (ID, "s", "7")


async def test_a_list_reads_its_query_and_links_to_the_next_page(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.on("ListOpportunities", pb.ListOpportunitiesResponse(next_page_token="a+b/c="))
    answer = await client.get(
        "/v1/opportunities", params={"pageSize": 2, "filter": "a & b", "showDeleted": "true"}
    )
    request = answering.last.request
    assert (request.page_size, request.filter, request.show_deleted) == (2, "a & b", True)
    assert answer.links["next"]["url"].startswith("/v1/opportunities?pageSize=2&filter=a+%26+b")
    await client.get(answer.links["next"]["url"])
    assert answering.last.request.page_token == "a+b/c="
    assert answering.last.request.filter == "a & b"


async def test_the_last_page_has_no_link(client: httpx.AsyncClient) -> None:
    assert "link" not in (await client.get("/v1/opportunities")).headers


async def test_a_known_version_is_answered_with_304(client: httpx.AsyncClient, answering: Answering) -> None:
    answering.on("GetOpportunity", opportunity())
    for known in ('"3"', 'W/"3"', '"1", "3"', "*"):
        answer = await client.get(f"/v1/opportunities/{ID}", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"3"')
    assert (await client.get(f"/v1/opportunities/{ID}", headers={"If-None-Match": '"2"'})).status_code == 200


async def test_head_answers_as_get_without_the_body(client: httpx.AsyncClient, answering: Answering) -> None:
    answering.on("GetOpportunity", opportunity())
    answer = await client.head(f"/v1/opportunities/{ID}")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_encoded_characters_of_the_path_reach_the_field_and_not_the_router(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    await client.get("/v1/opportunities/a%2Fb%3Awin")
    assert (answering.last.method, answering.last.request.id) == ("GetOpportunity", "a/b:win")


async def test_token_trace_and_deadline_go_on_to_the_service(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await client.get(
        f"/v1/opportunities/{ID}",
        headers={
            "traceparent": f"00-{trace}-b7ad6b7169203331-01",
            "tracestate": "a=b",
            "Consistency-Token": "t1",
        },
    )
    seen = answering.last
    assert seen.metadata["authorization"] == client.headers["authorization"]
    assert seen.metadata["traceparent"].split("-")[1] == trace
    assert seen.metadata["traceparent"].split("-")[2] != "b7ad6b7169203331"
    assert seen.metadata["tracestate"] == "a=b"
    assert seen.metadata["sfa-consistency"] == "t1"
    assert answer.headers["traceparent"] == seen.metadata["traceparent"]
    assert seen.seconds_left is not None
    assert 25 < seen.seconds_left < 31  # gRPC rounds it up


async def test_a_malformed_trace_context_is_replaced(client: httpx.AsyncClient, answering: Answering) -> None:
    for wrong in ("", "00-0-0-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{'a' * 32}-{'b' * 16}-01", "ü"):
        await client.get(f"/v1/opportunities/{ID}", headers={b"traceparent": wrong.encode()})
        version, trace, span, flags = answering.last.metadata["traceparent"].split("-")
        assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
        assert trace.strip("0a")


async def test_the_consistency_token_of_a_write_comes_back(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.trailing = (("sfa-consistency", "opportunities:7"), ("sfa-sight", "own-records-only"))
    answer = await client.post(f"/v1/opportunities/{ID}:win", json={})
    assert answer.headers["consistency-token"] == "opportunities:7"
    assert answer.headers["sight"] == "own-records-only"


async def test_large_answers_are_compressed_for_those_who_take_it(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    many = pb.ListOpportunitiesResponse(opportunities=[opportunity() for _ in range(50)])
    answering.on("ListOpportunities", many)
    plain = await client.get("/v1/opportunities", headers={"Accept-Encoding": "identity"})
    packed = await client.get("/v1/opportunities", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 5
    assert packed.json() == plain.json()
    assert len(plain.json()["opportunities"]) == 50


async def test_pages_of_other_origins_may_call_where_it_is_set(start: Start) -> None:
    closed, opened = await start(), await start(cors_origins=("https://crm.example",))
    asking = {"Origin": "https://crm.example", "Access-Control-Request-Method": "POST"}
    assert (
        "access-control-allow-origin" not in (await closed.get("/v1/opportunities", headers=asking)).headers
    )
    allowed = await opened.options("/v1/opportunities", headers=asking)
    assert allowed.headers["access-control-allow-origin"] == "https://crm.example"
    refused = await opened.get("/v1/nothing", headers={"Origin": "https://crm.example"})
    assert refused.headers["access-control-allow-origin"] == "https://crm.example"
    assert "ETag" in refused.headers["access-control-expose-headers"]


async def test_browsers_are_told_to_be_careful(client: httpx.AsyncClient) -> None:
    for path in ("/v1/opportunities", "/v1/nothing"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]


async def test_life_readiness_and_metrics(client: httpx.AsyncClient) -> None:
    await client.get("/v1/opportunities")
    assert (await client.get("/livez")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json()["services"]["opportunities"] == "ready"
    metrics = (await client.get("/metrics")).text
    assert 'sfa_http_seconds_count{method="GET",route="/v1/opportunities",status="200"}' in metrics


async def test_names_of_fields_are_spelt_as_in_the_json(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    result = resource_pb2.RowResult(field="opportunity.line_items[2].unit_price")
    answering.on("BatchUpsertOpportunities", pb.BatchUpsertOpportunitiesResponse(results=[result]))
    answer = await client.post(
        "/v1/opportunities:batchUpsert", json={"rows": [{"opportunity": {"name": "x"}}]}
    )
    assert answer.json()["results"][0]["field"] == "opportunity.lineItems[2].unitPrice"
    version = pb.OpportunityVersion(changed_fields=["close_date", "name"])
    answering.on("ListOpportunityVersions", pb.ListOpportunityVersionsResponse(versions=[version]))
    answer = await client.get(f"/v1/opportunities/{ID}/versions")
    assert answer.json()["versions"][0]["changedFields"] == ["closeDate", "name"]
