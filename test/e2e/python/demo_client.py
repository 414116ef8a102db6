"""Uses a demo as Confluent's Python client does that was given its files, and prints one line for each thing tried: NAME: RESULT.

The arguments are the demo's folder and the certificate of an authority that is not the demo's.
"""

import os
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

folder, wrong_ca = sys.argv[1:]

ORDER = '{"type":"record","name":"order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"item","type":"string"}]}'
NEWER = ORDER[:-2] + ',{"name":"amount","type":["null","double"],"default":null}]}'
OTHER = '{"type":"record","name":"order","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"item","type":"string"}]}'


def properties(name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f)


kafka = properties("librdkafka.properties")
registry = properties("registry.properties")


def registry_config(**more):
    c = {"url": registry["schema.registry.url"], "basic.auth.user.info": registry["basic.auth.user.info"], "max.retries": 0}
    return c | more


def say(name, result):
    print(f"{name}: {result}", flush=True)


def refusal(do):
    try:
        do()
        return "none"
    except SchemaRegistryError as e:
        return f"{e.http_status_code} {e.error_code}"


def login(**more):
    """The name of the error that a client with another configuration meets."""
    errors = []
    admin = AdminClient(kafka | {"error_cb": errors.append, "log_level": 0} | {k.replace("_", "."): v for k, v in more.items()})
    deadline = time.time() + 20
    while time.time() < deadline:
        try:
            admin.list_topics(timeout=1)
            return "none"
        except KafkaException:
            admin.poll(0.1)
        for e in errors:
            if e.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
                return f"{e.name()}, {'says' if 'failed' in e.str() else 'does not say'} what failed"
    return f"timeout {errors}"


def read(topic, n, partitions):
    consumer = Consumer(kafka | {"group.id": "python", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    got, deadline = [], time.time() + 30
    while len(got) < n and time.time() < deadline:
        m = consumer.poll(0.5)
        if m is not None and m.error() is None:
            got.append(m)
    consumer.close()
    return got


def decoded(messages, deserializer):
    return [deserializer(m.value(), SerializationContext(m.topic(), MessageField.VALUE)) for m in messages]


def write(topic, values, serializer):
    failed = []
    producer = Producer(kafka)
    for v in values:
        value = serializer(v, SerializationContext(topic, MessageField.VALUE))
        producer.produce(topic, value=value, on_delivery=lambda e, m: failed.append(e) if e else None)
    left = producer.flush(20)
    return "ok" if not failed and not left else f"{failed[:1]}, {left} left"


def main():
    schemas = SchemaRegistryClient(registry_config())
    clicks = decoded(read("clickstreams", 10, 6)[:10], AvroDeserializer(schemas))
    say("clicks", f"{len(clicks)} records of {','.join(clicks[0]) if clicks else 'nothing'}")

    topic = "python-orders"
    admin = AdminClient(kafka)
    admin.create_topics([NewTopic(topic, 2)])[topic].result()
    orders = [{"id": i, "item": f"item {i}"} for i in range(100)]
    written = write(topic, orders, AvroSerializer(schemas, ORDER))
    got = decoded(read(topic, 100, 2), AvroDeserializer(schemas))
    say("orders", f"{written}, {'equal' if sorted(got, key=lambda o: o['id']) == orders else 'different'}")

    newer = [{"id": i, "item": f"item {i}", "amount": i / 2} for i in range(100, 110)]
    written = write(topic, newer, AvroSerializer(schemas, NEWER))
    got = decoded(read(topic, 110, 2), AvroDeserializer(schemas, NEWER))
    want = [o | {"amount": None} for o in orders] + newer
    say("orders of both schemas, read by the newer", f"{written}, {'equal' if sorted(got, key=lambda o: o['id']) == want else 'different'}")

    subject = topic + "-value"
    say("versions", schemas.get_versions(subject))
    say("looked up", schemas.lookup_schema(subject, Schema(ORDER, "AVRO")).version)
    say("compatible", f"{schemas.test_compatibility(subject, Schema(NEWER, 'AVRO'))} {schemas.test_compatibility(subject, Schema(OTHER, 'AVRO'))}")
    say("incompatible", refusal(lambda: schemas.register_schema(subject, Schema(OTHER, "AVRO"))))
    say("no Avro", refusal(lambda: schemas.register_schema(subject, Schema('{"type":"nothing"}', "AVRO"))))
    say("unknown subject", refusal(lambda: schemas.get_latest_version("nothing")))
    schemas.set_compatibility(subject, "NONE")
    say("incompatible, and nobody minds", refusal(lambda: schemas.register_schema(subject, Schema(OTHER, "AVRO"))))
    by_record = AvroSerializer(schemas, ORDER, conf={"subject.name.strategy": record_subject_name_strategy})
    by_record(orders[0], SerializationContext(topic, MessageField.VALUE))
    say("subjects", ",".join(s for s in schemas.get_subjects() if "order" in s))
    schemas.delete_subject(subject)
    say("deleted for good", schemas.delete_subject(subject, permanent=True))

    user = registry["basic.auth.user.info"].split(":")[0]
    wrong = SchemaRegistryClient(registry_config(**{"basic.auth.user.info": user + ":wrong"}))
    say("registry, wrong password", refusal(wrong.get_subjects))
    say("wrong password", login(sasl_password="wrong"))
    say("another authority", login(ssl_ca_location=wrong_ca))


main()
