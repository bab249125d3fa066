"""A project at Supabase's lite server for tests: import both fixtures into a conftest."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from database import supabase_schema
from database.supabase_client import SupabaseClient
from tests.supabase_server.server import OwnStack, SupabaseServer, server_of

_ENVIRONMENT = dict(os.environ)
"""As it is before tests are kept from the developer's keys."""
_DELETES = """
select string_agg(format('delete from %I.%I', schemaname, tablename), '; ') from pg_tables
where schemaname = 'public'"""


@pytest.fixture(scope="session")
def supabase_server() -> Iterator[SupabaseServer | OwnStack]:
    """One server for all tests of a process, with our migrations."""
    with server_of(_ENVIRONMENT) as server:
        asyncio.run(supabase_schema.migrate(server.database_url))
        server.start_rest()
        yield server


@pytest.fixture
def supabase(supabase_server: SupabaseServer) -> Iterator[SupabaseServer]:
    """The server with empty tables, there again after a test that took it away."""
    with supabase_server.connect() as connection:
        found = connection.execute(_DELETES).fetchone()
        assert found is not None
        connection.execute(str(found[0]).encode())
    yield supabase_server
    if not supabase_server.running:
        supabase_server.start_rest()


@pytest.fixture
async def supabase_client(supabase: SupabaseServer) -> AsyncIterator[SupabaseClient]:
    """A client with the secret key."""
    client = SupabaseClient(supabase.url, supabase.secret_key)
    yield client
    await client.close()
