#!/usr/bin/env python3
"""Fills a topic with clickstream records by Confluent's own Python client.

Half of the records have one more field, so that the topic holds two schema ids. With --transactions every second transaction is aborted:
a reader that honours transactions must not see those records.

The login is taken from the environment: BOOTSTRAP_SERVERS, KAFKA_CA (a PEM file), KAFKA_API_KEY, KAFKA_API_SECRET, SCHEMA_REGISTRY_URL,
SCHEMA_REGISTRY_API_KEY, SCHEMA_REGISTRY_API_SECRET. The last line on stdout is a JSON object that says what was produced.
"""

import argparse
import json
import os
import random
import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

FIELDS = [
    {"name": "ip", "type": "string"},
    {"name": "userid", "type": "int"},
    {"name": "remote_user", "type": "string"},
    {"name": "time", "type": "string"},
    {"name": "_time", "type": "long"},
    {"name": "request", "type": "string"},
    {"name": "status", "type": "string"},
    {"name": "bytes", "type": "string"},
    {"name": "referrer", "type": "string"},
    {"name": "agent", "type": "string"},
]
CAMPAIGN = {"name": "campaign", "type": ["null", "string"], "default": None}
IPS = ["111.152.45.45", "222.203.236.146", "122.249.79.233", "233.203.236.146"]
REQUESTS = ["GET /index.html HTTP/1.1", "GET /site/login.html HTTP/1.1", "GET /images/track.png HTTP/1.1"]
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
]


def schema(fields):
    return json.dumps({"type": "record", "name": "clickstream", "namespace": "ksql", "fields": fields})


def click(rng, n):
    return {
        "ip": rng.choice(IPS),
        "userid": rng.randint(1, 40),
        "remote_user": "-",
        "time": time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime(1721304000 + n // 100)),
        "_time": 1 + n * 10,
        "request": rng.choice(REQUESTS),
        "status": rng.choice(["200", "302", "404", "405", "406", "407"]),
        "bytes": rng.choice(["278", "1289", "2048", "4096", "14096"]),
        "referrer": "-",
        "agent": rng.choice(AGENTS),
    }


class Clicks:
    """Makes key and value of a click, alternating between the two schemas."""

    def __init__(self, topic, seed, auto_register):
        registry = SchemaRegistryClient({
            "url": os.environ["SCHEMA_REGISTRY_URL"],
            "basic.auth.user.info": os.environ["SCHEMA_REGISTRY_API_KEY"] + ":" + os.environ["SCHEMA_REGISTRY_API_SECRET"],
        })
        conf = {"auto.register.schemas": auto_register}
        self.serializers = [
            AvroSerializer(registry, schema(FIELDS), conf=conf),
            AvroSerializer(registry, schema(FIELDS + [CAMPAIGN]), conf=conf),
        ]
        self.context = SerializationContext(topic, MessageField.VALUE)
        self.rng = random.Random(seed)

    def make(self, n):
        value = click(self.rng, n)
        if n % 2 == 1:
            value["campaign"] = None if n % 5 == 0 else "spring-%d" % (n % 20)
        return value["ip"], self.serializers[n % 2](value, self.context)


class Delivery:
    """Counts what the broker acknowledged, and keeps the first refusal."""

    def __init__(self):
        self.acknowledged, self.error = 0, None

    def __call__(self, error, _message):
        if error is None:
            self.acknowledged += 1
        else:
            self.error = self.error or error


def client(transactional_id):
    conf = {
        "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": os.environ["KAFKA_CA"],
        "sasl.mechanism": "PLAIN",
        "sasl.username": os.environ["KAFKA_API_KEY"],
        "sasl.password": os.environ["KAFKA_API_SECRET"],
        "compression.type": "lz4",
        "linger.ms": 20,
        # the random partitioner spreads the records, whose few keys would leave partitions empty
        "partitioner": "random",
        "sticky.partitioning.linger.ms": 0,
    }
    if transactional_id:
        conf["transactional.id"] = transactional_id
    return Producer(conf)


def send(producer, topic, clicks, numbers, delivery):
    for n in numbers:
        key, value = clicks.make(n)
        while True:
            try:
                producer.produce(topic, key=key, value=value, on_delivery=delivery)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)


def produce(args):
    clicks, delivery = Clicks(args.topic, args.seed, True), Delivery()
    producer = client(args.transactional_id if args.transactions else None)
    aborted = 0
    if args.transactions:
        producer.init_transactions(30)
        for i, start in enumerate(range(0, args.records, args.transactions)):
            numbers = range(start, min(start + args.transactions, args.records))
            producer.begin_transaction()
            send(producer, args.topic, clicks, numbers, delivery)
            producer.flush(60)  # so that the records of an aborted transaction are really in the log
            if i % 2 == 1:
                producer.abort_transaction(60)
                aborted += len(numbers)
            else:
                producer.commit_transaction(60)
    else:
        send(producer, args.topic, clicks, range(args.records), delivery)
    if producer.flush(120) or delivery.error or delivery.acknowledged != args.records:
        raise SystemExit("%d of %d records acknowledged: %s" % (delivery.acknowledged, args.records, delivery.error))
    print(json.dumps({"topic": args.topic, "records": args.records, "aborted": aborted}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topic", default="clickstreams")
    parser.add_argument("-n", "--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--transactions", type=int, default=0, metavar="N", help="records of a transaction; every second one is aborted")
    parser.add_argument("--transactional-id", default="clickstream-producer")
    produce(parser.parse_args())


if __name__ == "__main__":
    main()
