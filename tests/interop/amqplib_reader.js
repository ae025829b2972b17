// Reads a relay's events with amqplib alone, and prints a line of JSON for each.
"use strict";

const amqp = require("amqplib");

async function main({ BROKER_URL, EXCHANGE, QUEUE, PATTERNS }) {
  const connection = await amqp.connect(BROKER_URL);
  const channel = await connection.createChannel();
  await channel.prefetch(100);
  await channel.checkExchange(EXCHANGE); // the relay declares it
  await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
  for (const pattern of PATTERNS.split(",")) {
    await channel.bindQueue(QUEUE, EXCHANGE, pattern);
  }
  await channel.consume(QUEUE, (message) => {
    const event = JSON.parse(message.content.toString());
    const { properties, fields } = message;
    console.log(
      JSON.stringify({
        routing_key: fields.routingKey,
        id: event.id,
        type: event.type,
        message_id: properties.messageId,
        content_type: properties.contentType,
        vendor: properties.headers.vendor,
      }),
    );
    channel.ack(message);
  });
  process.once("SIGTERM", () => connection.close());
  console.log("ready");
}

main(process.env);
