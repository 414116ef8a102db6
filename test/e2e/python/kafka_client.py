"""Uses a Kafka cluster as applications do, by Confluent's Python client (librdkafka), and prints one line for each thing tried: NAME: RESULT.

The first argument is a JSON object: bootstrap, ca, wrong_ca, user, password, topic (a prefix for names).
"""

import json
import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

args = json.loads(sys.argv[1])


def config(**more):
    c = {
        "bootstrap.servers": args["bootstrap"],
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": args["user"],
        "sasl.password": args["password"],
        "ssl.ca.location": args["ca"],
        "client.id": "python",
        "log_level": 0,
    }
    c.update({k.replace("_", "."): v for k, v in more.items()})
    return c


def say(name, result):
    print(f"{name}: {result}", flush=True)


def first_error(**more):
    """Returns name and text of the error that a client with this configuration meets, or "none"."""
    errors = []
    c = config(**more)
    c["error_cb"] = errors.append
    admin = AdminClient(c)
    deadline = time.time() + 15
    while time.time() < deadline:
        try:
            admin.list_topics(timeout=1)
            return "none", ""
        except KafkaException:
            admin.poll(0.1)
        # a lost connection is what follows from the others
        for e in errors:
            if e.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
                return e.name(), e.str()
    return "timeout", str(errors)


def create(admin, name, partitions, **configs):
    topic = NewTopic(name, partitions, 1, config={k.replace("_", "."): v for k, v in configs.items()})
    try:
        admin.create_topics([topic], request_timeout=10)[name].result()
        return "ok"
    except KafkaException as e:
        return e.args[0].name()


def produce(topic, values, **more):
    failed = []
    producer = Producer(config(**more))
    for i, v in enumerate(values):
        producer.produce(topic, key=str(i).encode(), value=v, on_delivery=lambda e, m: failed.append(e) if e else None)
    left = producer.flush(20)
    return "ok" if not failed and not left else f"{failed[:1]} {left} left"


def read(topic, n, partitions, group="python-assign", **more):
    consumer = Consumer(config(group_id=group, enable_auto_commit=False, **more))
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    got, deadline = [], time.time() + 20
    while len(got) < n and time.time() < deadline:
        m = consumer.poll(0.5)
        if m is not None and m.error() is None:
            got.append(m)
    extra = consumer.poll(0.5)
    if extra is not None and extra.error() is None:
        got.append(extra)
    consumer.close()
    return got


def main():
    topic = args["topic"]
    admin = AdminClient(config())
    say("create", create(admin, topic, 3))
    say("create again", create(admin, topic, 3))
    say("create without a legal name", create(admin, "a/b", 1))
    say("create with an unknown configuration", create(admin, topic + "-x", 1, retention_mss="1"))
    say("replication factor 3", admin_error(lambda: admin.create_topics([NewTopic(topic + "-r", 1, 3)])[topic + "-r"].result()))

    values = [b"%08d" % i * 25 for i in range(2000)]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        name = f"{topic}-{codec}"
        create(admin, name, 2)
        result = produce(name, values, compression_type=codec, enable_idempotence=True, linger_ms=20)
        got = read(name, len(values), 2)
        same = sorted(m.value() for m in got) == sorted(values)
        say(f"produce and consume {codec}", f"{result}, {len(got)} records, {'equal' if same else 'different'}")

    say("create with LogAppendTime", create(admin, topic + "-time", 1, message_timestamp_type="LogAppendTime"))

    groups(admin, topic)
    transactions(admin, topic)

    resource = ConfigResource(ResourceType.TOPIC, topic)
    described = admin.describe_configs([resource])[resource].result()
    say("cleanup.policy", described["cleanup.policy"].value)
    missing = AdminClient(config()).list_topics("no-such-topic", timeout=10).topics["no-such-topic"].error
    say("unknown topic", missing.name() if missing else "none")

    name, text = first_error(sasl_password="wrong")
    say("wrong password", f"{name}, {'says' if 'Authentication failed' in text else 'does not say'} why")
    name, _ = first_error(ssl_ca_location=args["wrong_ca"])
    say("another authority", name)
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        say(mechanism, first_error(sasl_mechanisms=mechanism)[0])
    say("SCRAM, wrong password", first_error(sasl_mechanisms="SCRAM-SHA-512", sasl_password="wrong")[0])
    name, text = first_error(
        sasl_mechanisms="OAUTHBEARER",
        enable_sasl_oauthbearer_unsecure_jwt=True,
        sasl_oauthbearer_config="principal=someone",
    )
    say("OAUTHBEARER", f"{name}, {'names what there is' if 'PLAIN' in text else 'does not name what there is'}")

    say("delete", admin_error(lambda: admin.delete_topics([topic])[topic].result()))


def admin_error(do):
    try:
        do()
        return "ok"
    except KafkaException as e:
        return e.args[0].name()


def groups(admin, topic):
    for protocol in ("classic", "consumer"):
        group = f"{topic}-{protocol}"
        create(admin, group, 2)
        produce(group, [b"%d" % i for i in range(100)])
        got = []
        for round in range(2):  # the second member goes on where the first one stopped
            consumer = Consumer(
                config(group_id=group, group_protocol=protocol, auto_offset_reset="earliest", enable_auto_commit=False)
            )
            consumer.subscribe([group])
            want, deadline = 100 + 10 * round, time.time() + 30
            while len(got) < want and time.time() < deadline:
                m = consumer.poll(0.5)
                if m is not None and m.error() is None:
                    got.append(m.value())
            consumer.commit(asynchronous=False)
            consumer.close()
            if round == 0:
                produce(group, [b"later %d" % i for i in range(10)])
        say(f"group {protocol}", f"{len(got)} records, {len(set(got))} distinct")


def transactions(admin, topic):
    name = topic + "-tx"
    create(admin, name, 1)
    producer = Producer(config(transactional_id=name, transaction_timeout_ms=30000))
    producer.init_transactions(20)
    for i in range(6):
        producer.begin_transaction()
        for _ in range(10):
            producer.produce(name, b"aborted" if i % 2 == 0 else b"committed")
        producer.flush(10)
        if i % 2 == 0:
            producer.abort_transaction(10)
        else:
            producer.commit_transaction(10)
    committed = read(name, 30, 1, isolation_level="read_committed")
    everything = read(name, 60, 1, isolation_level="read_uncommitted")
    aborted = sum(m.value() == b"aborted" for m in committed)
    say("transactions", f"{len(committed)} committed of {len(everything)} records, {aborted} aborted ones among them")


main()
