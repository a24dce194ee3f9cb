"""A client as its author would write it: gRPC's C core, no options for the unix socket.

Adds a service and a dest by two calls, then prints the daemon's version and the services.
usage: stock_client.py PROTO_DIR SOCKET
"""

import sys

import grpc

sys.path.append(sys.argv[1])
pb, services = grpc.protos_and_services("dpvs/v1/ipvs.proto")
common = grpc.protos("dpvs/v1/common.proto")

with grpc.insecure_channel("unix:" + sys.argv[2]) as channel:
    ipvs = services.IpvsServiceStub(channel)
    vip = common.IpAddress(bytes=bytes([10, 0, 0, 100]))
    key = pb.ServiceKey(protocol=pb.PROTOCOL_TCP, address=vip, port=80)
    ipvs.AddService(pb.VirtualService(key=key, scheduler="rr"))
    real = pb.Dest(address=common.IpAddress(bytes=bytes([192, 168, 100, 2])), port=80,
                   fwd_mode=pb.FWD_MODE_DR, weight=7)
    ipvs.AddDest(pb.DestRequest(service=key, dest=real))
    version = ipvs.GetVersion(common.Empty())
    print(f"version {version.major}.{version.minor}")
    for service in ipvs.ListServices(pb.ListServicesRequest()):
        print(service.scheduler, [dest.weight for dest in service.dests])
