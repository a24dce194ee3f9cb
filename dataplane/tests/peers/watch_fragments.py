"""Prints each fragment that the kernel receives: source, destination, offset, MF bit."""
import socket

ALL_PROTOCOLS = 3  # ETH_P_ALL
FRAGMENT_HEADER = 44  # RFC 8200, 4.5

watcher = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
print("watching", flush=True)
while True:
    packet, (device, _, kind, *_) = watcher.recvfrom(65535)
    if kind != socket.PACKET_HOST or device == "lo":
        continue
    version = packet[0] >> 4
    if version == 4:
        family, src, dst = socket.AF_INET, packet[12:16], packet[16:20]
        word = int.from_bytes(packet[6:8], "big")
        offset, more = (word & 0x1FFF) * 8, word >> 13 & 1
    elif version == 6 and packet[6] == FRAGMENT_HEADER:
        family, src, dst = socket.AF_INET6, packet[8:24], packet[24:40]
        word = int.from_bytes(packet[42:44], "big")
        offset, more = word & 0xFFF8, word & 1
    else:
        continue
    if offset or more:
        src, dst = socket.inet_ntop(family, src), socket.inet_ntop(family, dst)
        print(src, dst, offset, more, flush=True)
