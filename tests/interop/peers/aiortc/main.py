"""aiortc as a peer of the tests: JSON lines on standard input and output, see tests/whole_peers.rs.

Messages and media come back as they went.
"""

import asyncio
import json
import sys

import aioice.ice
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

# It leaves out loopback addresses, which are all that the tests use.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def say(value):
    print(json.dumps(value), flush=True)


async def main():
    connection = RTCPeerConnection()
    relay = MediaRelay()

    def echo(channel):
        channel.on("message", channel.send)

    connection.on("datachannel", echo)

    @connection.on("connectionstatechange")
    def on_state():
        say({"state": connection.connectionState})

    @connection.on("track")
    def on_track(track):
        say({"track": track.kind})
        for transceiver in connection.getTransceivers():
            if transceiver.kind == track.kind:
                transceiver.sender.replaceTrack(relay.subscribe(track))
                transceiver.direction = "sendrecv"

    def describe():
        local = connection.localDescription
        say({"type": local.type, "sdp": local.sdp})

    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := await lines.readline():
        command = json.loads(line)
        if command.get("do") == "media":
            connection.addTransceiver("video", "sendrecv")
            connection.addTransceiver("audio", "sendrecv")
        elif command.get("do") == "offer":
            echo(connection.createDataChannel("from the peer"))
            await connection.setLocalDescription(await connection.createOffer())
            describe()
        elif command.get("do") == "close":
            await connection.close()
            say({"state": "closed by itself"})
        else:
            await connection.setRemoteDescription(RTCSessionDescription(**command))
            if command["type"] == "offer":
                await connection.setLocalDescription(await connection.createAnswer())
                describe()


asyncio.run(main())
