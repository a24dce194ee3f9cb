"""Waits for a TCP segment with a TOA option (kind 254), prints the client's address and port."""
import socket
import struct

ALL_PROTOCOLS = 3  # ETH_P_ALL
TCP = 6
TOA = 254
END_OR_PADDING = (0, 1)
FAMILY_BY_LENGTH = {8: socket.AF_INET, 20: socket.AF_INET6}


def segment(packet):
    """The TCP segment of a packet, or None."""
    version = packet[0] >> 4
    if version == 4 and packet[9] == TCP:
        return packet[(packet[0] & 15) * 4:]
    if version == 6 and packet[6] == TCP:
        return packet[40:]
    return None


def options(tcp):
    """The options of a segment, each with its kind and length."""
    rest = tcp[20:(tcp[12] >> 4) * 4]
    while rest:
        length = 1 if rest[0] in END_OR_PADDING else rest[1]
        yield rest[:length]
        rest = rest[length:]


def first_toa():
    reader = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
    while True:
        packet, (_, _, kind, *_) = reader.recvfrom(65535)
        tcp = None if kind == socket.PACKET_OUTGOING else segment(packet)
        for option in options(tcp) if tcp else ():
            if option[0] == TOA:
                return option


toa = first_toa()
addr = socket.inet_ntop(FAMILY_BY_LENGTH[len(toa)], toa[4:])
print(addr, struct.unpack(">H", toa[2:4])[0])
