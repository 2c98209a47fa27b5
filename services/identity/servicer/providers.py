"""The external OpenID providers of a tenant."""

from sfa.identity.v1 import auth_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from services.identity import wire
from services.identity.domain.providers import IdentityProvider
from services.identity.store import IdentityProviderStore


class IdentityProviderServicer:
    """Who else is believed. `plain_http` is for tests."""

    def __init__(self, *, plain_http: bool) -> None:
        self.plain_http = plain_http

    async def CreateIdentityProvider(
        self, request: pb.CreateIdentityProviderRequest, call: Call
    ) -> pb.IdentityProvider:
        asked = request.identity_provider
        fields = fields_to_change(asked, None, wire.IDENTITY_PROVIDER_FIELDS)
        provider = IdentityProvider(id=uuid_of(asked.id) or new_id(), **fields)
        await IdentityProviderStore(call).add(provider, provider.create(plain_http=self.plain_http))
        return wire.identity_provider_to_proto(provider)

    async def GetIdentityProvider(
        self, request: pb.GetIdentityProviderRequest, call: Call
    ) -> pb.IdentityProvider:
        return wire.identity_provider_to_proto(
            await IdentityProviderStore(call).get(request.id, deleted=True)
        )

    async def ListIdentityProviders(
        self, request: pb.ListIdentityProvidersRequest, call: Call
    ) -> pb.ListIdentityProvidersResponse:
        page = await IdentityProviderStore(call).page(request)
        return pb.ListIdentityProvidersResponse(
            identity_providers=map(wire.identity_provider_to_proto, page.items),
            next_page_token=page.next_page_token,
        )

    async def UpdateIdentityProvider(
        self, request: pb.UpdateIdentityProviderRequest, call: Call
    ) -> pb.IdentityProvider:
        store = IdentityProviderStore(call)
        provider = await store.get(request.id, request.etag)
        fields = fields_to_change(
            request.identity_provider, request.update_mask, wire.IDENTITY_PROVIDER_FIELDS
        )
        await store.save(provider, provider.change(fields, plain_http=self.plain_http))
        return wire.identity_provider_to_proto(provider)

    async def DeleteIdentityProvider(
        self, request: pb.DeleteIdentityProviderRequest, call: Call
    ) -> pb.IdentityProvider:
        store = IdentityProviderStore(call)
        provider = await store.get(request.id, request.etag)
        await store.save(provider, provider.delete(call.now))
        return wire.identity_provider_to_proto(provider)
