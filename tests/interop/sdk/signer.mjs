// Signs and checks with senders' Node libraries: a line of JSON in, a line of JSON out, as signer.py.
// It has to lie beside node_modules. A library refuses by its answer, or by what it throws.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

import { sign as signGithub, verify as checkGithub } from "@octokit/webhooks-methods";
import { Mux } from "@mux/mux-node";
import { Paddle } from "@paddle/paddle-node-sdk";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, shopifyApi } from "@shopify/shopify-api";
import { verifyKey } from "discord-interactions";
import { Bot, webhookCallback } from "grammy";
import Stripe from "stripe";
import { WhatsAppAPI } from "whatsapp-api-js";

const require = createRequire(import.meta.url);
const line = require("@line/bot-sdk");
const razorpay = require("razorpay/dist/utils/razorpay-utils");
const { Crisp } = require("crisp-api");

const svix = require("svix");
const standardWebhooks = require("standardwebhooks");

console.log = console.error; // stdout has the answers
console.debug = console.error;

const stripe = new Stripe("sk_test_none");

function seconds() {
  return Math.floor(Date.now() / 1000);
}

function inStandard(Webhook, prefix) {
  return {
    sign({ secret, body }) {
      const now = new Date();
      return {
        [`${prefix}-id`]: "msg_1",
        [`${prefix}-timestamp`]: String(Math.floor(now / 1000)),
        [`${prefix}-signature`]: new Webhook(secret).sign("msg_1", now, body),
      };
    },
    check({ secret, headers, body }) {
      new Webhook(secret).verify(body, headers); // or it throws
      return true;
    },
  };
}

function ofBody(header) {
  return {
    async sign({ secret, body }) {
      return { [header]: await signGithub(secret, body) };
    },
    check({ secret, headers, body }) {
      return checkGithub(secret, body, headers[header]);
    },
  };
}

function checkShopify({ secret, headers, body }) {
  const shopify = shopifyApi({
    apiKey: "key",
    apiSecretKey: secret,
    hostName: "hooks.example.com",
    apiVersion: ApiVersion.Unstable,
    isEmbeddedApp: false,
    logger: { log: () => {} },
  });
  const others = {
    "x-shopify-api-version": "unstable",
    "x-shopify-shop-domain": "acme.myshopify.com",
    "x-shopify-topic": "orders/paid",
    "x-shopify-webhook-id": "1",
  };
  const rawRequest = { method: "POST", url: "/in/shopify", headers: { ...others, ...headers } };
  return shopify.webhooks.validate({ rawBody: body, rawRequest }).then(({ valid }) => valid);
}

async function checkTelegram({ secret, headers, body }) {
  const botInfo = { id: 1, is_bot: true, first_name: "acme", username: "acme_bot" };
  const bot = new Bot("1:none", { botInfo });
  const receive = webhookCallback(bot, "std/http", { secretToken: secret });
  const request = new Request("https://hooks.example.com/", { method: "POST", headers, body });
  return (await receive(request)).status === 200;
}

// `verifyHook` makes the same check, in a client that is connected.
function checkCrisp({ secret, headers, body }) {
  const moment = headers["x-crisp-request-timestamp"];
  return new Crisp().verifyWidget(secret, JSON.parse(body), moment, headers["x-crisp-signature"]);
}

const SENDERS = {
  bitbucket: ofBody("x-hub-signature"), // documented to be GitHub's rule
  crisp: { check: checkCrisp },
  discord: {
    check: ({ secret, headers, body }) =>
      verifyKey(body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], secret),
  },
  github: ofBody("x-hub-signature-256"),
  line: {
    check: ({ secret, headers, body }) =>
      line.validateSignature(body, secret, headers["x-line-signature"]),
  },
  meta: {
    sign: ofBody("x-hub-signature-256").sign, // documented to be GitHub's rule
    check: ({ secret, headers, body }) =>
      new WhatsAppAPI({ token: "none", appSecret: secret }).verifyRequestSignature(
        body,
        headers["x-hub-signature-256"],
      ),
  },
  mux: {
    check: async ({ secret, headers, body }) => {
      const mux = new Mux({ tokenId: "none", tokenSecret: "none" });
      await mux.webhooks.verifySignature(body, headers, secret);
      return true;
    },
  },
  paddle: {
    check: ({ secret, headers, body }) =>
      new Paddle("none").webhooks.isSignatureValid(body, secret, headers["paddle-signature"]),
  },
  razorpay: {
    check: ({ secret, headers, body }) =>
      razorpay.validateWebhookSignature(body, headers["x-razorpay-signature"], secret),
  },
  shopify: { check: checkShopify },
  "standard-webhooks": inStandard(standardWebhooks.Webhook, "webhook"),
  stripe: {
    sign: async ({ secret, body }) => ({
      "Stripe-Signature": await stripe.webhooks.generateTestHeaderStringAsync({
        payload: body,
        secret,
        timestamp: seconds(),
      }),
    }),
    check: async ({ secret, headers, body }) =>
      Boolean(
        await stripe.webhooks.signature.verifyHeaderAsync(
          body, headers["stripe-signature"], secret, 300, Stripe.createSubtleCryptoProvider(),
        ),
      ),
  },
  svix: inStandard(svix.Webhook, "svix"),
  telegram: { check: checkTelegram },
};

async function answer(request) {
  const act = SENDERS[request.sender][request.act];
  try {
    const result = await act(request);
    return request.act === "sign" ? { headers: result } : { valid: result };
  } catch (error) {
    return { valid: false, error: String(error) };
  }
}

for await (const text of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(text)))}\n`);
}
