"""Asks for everything that the server says of itself, without any .proto file.

Prints the health of a service, the services, and the daemon's version, which it asks for with
messages made from the answers.
usage: reflect.py SOCKET
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

NAME = "dpvs.v1.IpvsService"

with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", NAME]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service))
        print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    database = ProtoReflectionDescriptorDatabase(channel)
    print(" ".join(sorted(database.get_services())))
    method = DescriptorPool(database).FindServiceByName(NAME).FindMethodByName("GetVersion")
    ask, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = channel.unary_unary(
        f"/{NAME}/{method.name}",
        request_serializer=ask.SerializeToString,
        response_deserializer=answer.FromString,
    )
    version = call(ask())
    print(f"version {version.major}.{version.minor}")
