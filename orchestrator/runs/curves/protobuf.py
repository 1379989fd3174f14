"""Messages of other tools' files, declared by the few fields that are read.

protobuf is loaded only when such a file is read. All other fields of a message are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, tuple[int, str]]


def message_classes(package: str, **messages: Fields) -> dict[str, Any]:
    """Return a class for each message, by its name.

    Args:
        package: unique name, so that two tools' messages do not collide.
        messages: name of a message to its fields, each with its number and type: one of
            protobuf's in capitals (``"DOUBLE"``; text is ``"BYTES"``, as a damaged character must
            not cost the message) or the name of another message, with ``*`` if repeated.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    file.syntax = "proto3"
    for message, fields in messages.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = declared.field.add(name=name, number=number)
            plain = kind.rstrip("*")
            field.label = field.LABEL_REPEATED if kind != plain else field.LABEL_OPTIONAL
            if plain in messages:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{plain}"
            else:
                field.type = field.Type.Value(f"TYPE_{plain}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }
