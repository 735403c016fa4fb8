"""aiortc as a peer of the tests: the commands are those of tests/whole_peers/peer.rs."""

import asyncio
import json
import sys

import aioice.ice
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import VideoStreamTrack

# It leaves out loopback addresses, which are all that the tests use.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def say(value):
    print(json.dumps(value), flush=True)


class Peer:
    def __init__(self):
        self.connection = RTCPeerConnection()
        self.relay = MediaRelay()
        self.reflecting = False
        self.added = None
        self.connection.on("datachannel", self.on_channel)
        self.connection.on("track", self.on_track)
        self.connection.on(
            "connectionstatechange", lambda: say({"state": self.connection.connectionState})
        )

    def on_channel(self, channel):
        self.echo(channel)
        say({"channel": channel.label, "ordered": channel.ordered})

    def echo(self, channel):
        channel.on("message", channel.send)
        channel.on("close", lambda: say({"closed": channel.label}))

    def on_track(self, track):
        say({"track": track.kind})
        if self.reflecting:
            for transceiver in self.connection.getTransceivers():
                if transceiver.kind == track.kind:
                    transceiver.sender.replaceTrack(self.relay.subscribe(track))
                    transceiver.direction = "sendrecv"

    async def handle(self, command):
        if "do" in command:
            await getattr(self, command.pop("do"))(**command)
        elif command["type"] == "offer" and self.connection.signalingState != "stable":
            say({"ignored": command["type"]})
        else:
            await self.connection.setRemoteDescription(RTCSessionDescription(**command))
            if command["type"] == "offer":
                await self.describe(await self.connection.createAnswer())

    async def describe(self, description):
        await self.connection.setLocalDescription(description)
        local = self.connection.localDescription
        say({"type": local.type, "sdp": local.sdp})

    async def channel(self, label, ordered):
        self.echo(self.connection.createDataChannel(label, ordered=ordered))

    async def media(self, kind, codec, offers):
        self.reflecting = True
        if offers:
            transceiver = self.connection.addTransceiver(kind, "sendrecv")
            codecs = RTCRtpReceiver.getCapabilities(kind).codecs
            transceiver.setCodecPreferences([it for it in codecs if it.mimeType == f"{kind}/{codec}"])

    async def offer(self):
        await self.describe(await self.connection.createOffer())

    async def add(self):
        self.added = self.connection.addTrack(VideoStreamTrack())

    async def remove(self):
        for transceiver in self.connection.getTransceivers():
            if transceiver.sender == self.added:
                transceiver.direction = "inactive"
        self.added.replaceTrack(None)

    async def close(self):
        await self.connection.close()
        say({"state": "closed by itself"})


async def main():
    peer = Peer()
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := await lines.readline():
        await peer.handle(json.loads(line))


asyncio.run(main())
