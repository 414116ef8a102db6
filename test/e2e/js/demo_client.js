// Uses a demo as a JavaScript client does that was given its files: kafkajs with each of the two registry clients that there are. Prints one
// line for each thing tried: NAME: RESULT. The arguments are the demo's folder and the certificate of another authority.
const fs = require("fs");
const path = require("path");
const { Kafka, logLevel } = require("kafkajs");
const { SchemaRegistry, SchemaType } = require("@kafkajs/confluent-schema-registry");
const { SchemaRegistryClient, AvroSerializer, AvroDeserializer, SerdeType } = require("@confluentinc/schemaregistry");

const [folder, wrongCA] = process.argv.slice(2);

function properties(name) {
  const lines = fs.readFileSync(path.join(folder, name), "utf-8").trimEnd().split("\n");
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

const login = properties("librdkafka.properties");
const registry = properties("registry.properties");
const [user, secret] = registry["basic.auth.user.info"].split(":");

function kafka(password = login["sasl.password"], ca = login["ssl.ca.location"]) {
  return new Kafka({
    clientId: "js",
    brokers: [login["bootstrap.servers"]],
    ssl: { ca: [fs.readFileSync(ca, "utf-8")] },
    sasl: { mechanism: "plain", username: login["sasl.username"], password },
    logLevel: logLevel.NOTHING,
    retry: { retries: 2, initialRetryTime: 50 },
  });
}

const byKafkajs = (password = secret) =>
  new SchemaRegistry({ host: registry["schema.registry.url"], auth: { username: user, password } }, { retry: { retries: 0 } });
const byConfluent = (password = secret) =>
  new SchemaRegistryClient({
    baseURLs: [registry["schema.registry.url"]],
    basicAuthCredentials: { credentialsSource: "USER_INFO", userInfo: `${user}:${password}` },
    maxRetries: 0,
  });

const say = (name, result) => console.log(`${name}: ${result}`);

async function refusal(action) {
  try {
    await action();
    return "none";
  } catch (e) {
    return e.message;
  }
}

async function read(topic, n) {
  const consumer = kafka().consumer({ groupId: `js-${topic}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const got = [];
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${got.length} records of ${topic} after 30 s`)), 30000).unref();
    consumer.run({
      eachMessage: async ({ message }) => {
        if (got.length < n) got.push(message.value);
        if (got.length === n) resolve();
      },
    });
  });
  await consumer.disconnect();
  return got;
}

async function write(topic, values) {
  const producer = kafka().producer();
  await producer.connect();
  await producer.send({ topic, messages: values.map((value) => ({ value })) });
  await producer.disconnect();
}

async function main() {
  const admin = kafka().admin();
  await admin.connect();
  const topic = "js-orders";
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] });
  await admin.disconnect();

  const first = byKafkajs();
  const second = byConfluent();
  const deserializer = new AvroDeserializer(second, SerdeType.VALUE, {});
  const clicks = await read("clickstreams", 5);
  const one = await Promise.all(clicks.map((value) => first.decode(value)));
  const other = await Promise.all(clicks.map((value) => deserializer.deserialize("clickstreams", value)));
  say("clicks", `${one.length} records of ${Object.keys(one[0])}`);
  say("clicks, both clients", JSON.stringify(one) === JSON.stringify(other) ? "equal" : `${JSON.stringify(one)} ${JSON.stringify(other)}`);

  const schema = { type: "record", name: "order", namespace: "shop", fields: [{ name: "id", type: "int" }, { name: "item", type: "string" }] };
  const { id } = await first.register({ type: SchemaType.AVRO, schema: JSON.stringify(schema) }, { subject: `${topic}-value` });
  schema.fields.push({ name: "amount", type: ["null", "double"], default: null });
  await second.register(`${topic}-value`, { schemaType: "AVRO", schema: JSON.stringify(schema) });
  const serializer = new AvroSerializer(second, SerdeType.VALUE, { useLatestVersion: true, autoRegisterSchemas: false });
  await write(topic, [
    await first.encode(id, { id: 1, item: "a" }),
    await serializer.serialize(topic, { id: 2, item: "b", amount: 0.5 }),
  ]);
  const orders = await read(topic, 2);
  say("orders by kafkajs", JSON.stringify(await Promise.all(orders.map((value) => first.decode(value)))));
  say("orders by Confluent's", JSON.stringify(await Promise.all(orders.map((value) => deserializer.deserialize(topic, value)))));
  say("versions", await second.getAllVersions(`${topic}-value`));
  const strange = JSON.stringify({ ...schema, fields: [{ name: "id", type: "string" }] });
  say("compatible", await second.testSubjectCompatibility(`${topic}-value`, { schemaType: "AVRO", schema: strange }));
  say("incompatible", (await refusal(() => second.register(`${topic}-value`, { schemaType: "AVRO", schema: strange }))).slice(0, 60));

  say("wrong password", await refusal(async () => {
    const stranger = kafka("wrong").admin();
    await stranger.connect().finally(() => stranger.disconnect());
  }));
  say("another authority", await refusal(async () => {
    const stranger = kafka(undefined, wrongCA).admin();
    await stranger.connect().finally(() => stranger.disconnect());
  }));
  say("registry, wrong password, kafkajs", await refusal(() => byKafkajs("wrong").getLatestSchemaId("clickstreams-value")));
  say("registry, wrong password, Confluent's", await refusal(() => byConfluent("wrong").getAllSubjects()));
}

main().then(
  () => process.exit(0),
  (e) => {
    console.error(e);
    process.exit(1);
  },
);
