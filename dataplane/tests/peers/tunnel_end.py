"""tunnel_end.py KIND ADDR: takes packets out of their tunnel and gives them to the kernel.

KIND is ipip, gre or gue. ADDR is any address of the family of the outer headers. The packets come
out of a TUN device named tunl, so the kernel needs no tunnel driver.
"""
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
IPPROTO_GRE = 47
IPPROTO_IPIP, IPPROTO_IPV6 = 4, 41
UDP_NO_CHECK6_RX = 102  # accept checksum 0: RFC 6935
GUE_PORT = 6080
SETUP = """
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl.rp_filter=0
ip link set tunl up
"""

kind, outer_is_v6 = sys.argv[1], ":" in sys.argv[2]


def open_tun():
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", b"tunl", IFF_TUN_NO_PI))
    subprocess.check_call(SETUP, shell=True)
    return tun


def open_ends():
    family = socket.AF_INET6 if outer_is_v6 else socket.AF_INET
    if kind == "gue":
        end = socket.socket(family, socket.SOCK_DGRAM)
        if outer_is_v6:
            end.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
        end.bind(("", GUE_PORT))
        return [end]
    protocols = [IPPROTO_GRE] if kind == "gre" else [IPPROTO_IPIP, IPPROTO_IPV6]
    return [socket.socket(family, socket.SOCK_RAW, protocol) for protocol in protocols]


def shim_of(inner_is_v4):
    """The tunnel's own header, which tells the family of the inner packet."""
    if kind == "gre":
        return b"\0\0\x08\0" if inner_is_v4 else b"\0\0\x86\xdd"
    if kind == "gue":
        return bytes([0, IPPROTO_IPIP if inner_is_v4 else IPPROTO_IPV6, 0, 0])
    return b""


tun, ends = open_tun(), open_ends()
# A raw IPv4 socket hands out the IP header too.
ip_header = 0 if outer_is_v6 or kind == "gue" else 20
shim_length = len(shim_of(True))
while True:
    for end in select.select(ends, [], [])[0]:
        packet = end.recv(65535)[ip_header:]
        inner = packet[shim_length:]
        assert packet.startswith(shim_of(inner[0] >> 4 == 4)), packet
        os.write(tun, inner)
