"""The cable of the chaos suite adds nothing of its own to the order of things."""

from __future__ import annotations

import asyncio

from chaos.network import Cable


async def test_a_server_hears_of_the_end_of_a_connection_before_the_next_one_speaks() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            await heard.put(data.decode())
        await heard.put("end")
        writer.close()

    async with asyncio.timeout(10), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        cable = Cable("test", server.sockets[0].getsockname()[1])
        await cable.start()
        try:
            for name in ("first", "second"):
                _, writer = await asyncio.open_connection("127.0.0.1", cable.port)
                writer.write(name.encode())
                if name == "first":
                    assert await heard.get() == name
                    # As the kernel does with the sockets of a process that is killed.
                    writer.transport.abort()
            assert [await heard.get(), await heard.get()] == ["end", "second"]
            writer.close()
        finally:
            await cable.stop()
