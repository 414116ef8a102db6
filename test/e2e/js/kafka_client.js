// Uses a Kafka cluster as applications do, by kafkajs, and prints one line for each thing tried: NAME: RESULT.
// The first argument is a JSON object: bootstrap, ca, wrong_ca, user, password, topic.
const fs = require("fs");
const { Kafka, CompressionTypes, logLevel } = require("kafkajs");

const args = JSON.parse(process.argv[2]);

function kafka(sasl, ca = args.ca) {
  return new Kafka({
    clientId: "js",
    brokers: [args.bootstrap],
    ssl: { ca: [fs.readFileSync(ca, "utf-8")] },
    sasl: { mechanism: "plain", username: args.user, password: args.password, ...sasl },
    logLevel: logLevel.NOTHING,
    retry: { retries: 2, initialRetryTime: 50 },
  });
}

const say = (name, result) => console.log(`${name}: ${result}`);

async function login(sasl, ca) {
  const admin = kafka(sasl, ca).admin();
  try {
    await admin.connect();
    await admin.listTopics();
    return "ok";
  } catch (e) {
    return e.message;
  } finally {
    await admin.disconnect();
  }
}

async function main() {
  const k = kafka({});
  const admin = k.admin();
  await admin.connect();
  say("create", await admin.createTopics({ topics: [{ topic: args.topic, numPartitions: 3, replicationFactor: 1 }] }));
  const producer = k.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
    const messages = Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, value: `value ${i}`, headers: { h: "x" } }));
    await producer.send({ topic: args.topic, compression, messages });
  }
  await producer.disconnect();

  const consumer = k.consumer({ groupId: args.topic + "-group", maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: [args.topic], fromBeginning: true });
  const got = [];
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${got.length} records after 30 s`)), 30000).unref();
    consumer.run({
      eachMessage: async ({ message }) => {
        got.push(message.value.toString());
        if (got.length === 200) resolve();
      },
    });
  });
  await consumer.disconnect();
  say("group", `${got.length} records, ${new Set(got).size} distinct`);

  const tx = k.producer({ transactionalId: args.topic + "-tx", idempotent: true, maxInFlightRequests: 1 });
  await tx.connect();
  const transaction = await tx.transaction();
  await transaction.send({ topic: args.topic, messages: [{ value: "aborted" }] });
  await transaction.abort();
  await tx.disconnect();
  say("transaction", "aborted");

  // Apache Kafka writes the marker of the abort after it has answered.
  let records = 0;
  for (let i = 0; i < 50 && records < 202; i++) {
    const offsets = await admin.fetchTopicOffsets(args.topic);
    records = offsets.reduce((n, p) => n + Number(p.high) - Number(p.low), 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  say("records", records);
  await admin.deleteTopics({ topics: [args.topic] });
  say("topics left", (await admin.listTopics()).filter((t) => t === args.topic).length);
  await admin.disconnect();

  say("wrong password", await login({ password: "wrong" }));
  say("SCRAM-SHA-256", await login({ mechanism: "scram-sha-256" }));
  say("SCRAM-SHA-512", await login({ mechanism: "scram-sha-512" }));
  say("SCRAM, wrong password", await login({ mechanism: "scram-sha-512", password: "wrong" }));
  say("OAUTHBEARER", await login({ mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value: "token" }) }));
  say("another authority", (await login({}, args.wrong_ca)).split(":")[0]);
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
