// Prints the relay's events: npm ci && node reader.js
"use strict";
const amqp = require("amqplib");

const { BROKER_URL = "amqp://guest:guest@127.0.0.1:5672/", EXCHANGE = "webhooks" } = process.env;
const { QUEUE = "crm-script", PATTERNS = "*.message.#,*.conversation.closed" } = process.env;

async function main() {
  const connection = await amqp.connect(BROKER_URL);
  const channel = await connection.createChannel();
  connection.on("close", (error) => process.exit(error ? 1 : 0)); // the supervisor starts it again
  await channel.prefetch(100);
  await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
  for (const pattern of PATTERNS.split(",")) await channel.bindQueue(QUEUE, EXCHANGE, pattern);
  await channel.consume(QUEUE, (message) => {
    if (!message) throw new Error(`the queue ${QUEUE} was deleted`);
    const event = JSON.parse(message.content.toString());
    console.log(message.fields.routingKey, event.id, event.data.message?.text ?? "");
    channel.ack(message); // only now: if the program dies before, the event comes again
  });
  process.once("SIGTERM", () => connection.close());
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
