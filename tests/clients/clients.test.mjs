// SPDX-License-Identifier: Apache-2.0
// A pool's HTTP as the `openai` and `ollama` packages of npm see it. run.sh starts the pool.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { before, describe, it } from "node:test";

const require = createRequire(process.env.AYNI_CLIENTS + "/");
const url = process.env.AYNI_URL;
const messages = [{ role: "user", content: "What is 27 + 48?" }];
const model = "ayni-demo";
const long = { model, messages, ignore_eos: true, temperature: 1.5, seed: 11 };

async function metric(name) {
	const text = await (await fetch(`${url}/metrics`)).text();
	return Number(text.split("\n").find((line) => line.startsWith(name)).split(" ").pop());
}

before(async () => {
	while (!(await fetch(`${url}/readyz`)).ok);
});

describe("openai", () => {
	const { OpenAI } = require("openai");
	const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });

	it("lists models", async () => {
		const list = await client.models.list();
		assert.deepEqual(list.data.map((m) => m.id), [model]);
		assert.equal((await client.models.retrieve(model)).object, "model");
	});

	it("answers a chat with usage", async () => {
		const answer = await client.chat.completions.create({ model, messages });
		assert.equal(answer.choices[0].message.content, "27 + 48 = 75");
		assert.equal(answer.choices[0].finish_reason, "stop");
		const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
		assert.equal(prompt_tokens + completion_tokens, total_tokens);
	});

	it("streams a chat, and ends with usage", async () => {
		const stream = await client.chat.completions.create({
			model, messages, stream: true, stream_options: { include_usage: true },
		});
		let text = "", usage = null, reason = null;
		for await (const chunk of stream) {
			text += chunk.choices[0]?.delta?.content ?? "";
			reason = chunk.choices[0]?.finish_reason ?? reason;
			usage = chunk.usage ?? usage;
		}
		assert.equal(text, "27 + 48 = 75");
		assert.equal(reason, "stop");
		assert.ok(usage.completion_tokens > 0);
	});

	it("says the same whether it streams or not, and the same for a seed", async () => {
		const ask = { ...long, max_tokens: 60 };
		const whole = (await client.chat.completions.create(ask)).choices[0].message.content;
		const stream = client.chat.completions.stream(ask);
		assert.equal(await stream.finalContent(), whole);
	});

	it("gives n choices, and ends them before a stop", async () => {
		const answer = await client.chat.completions.create({ model, messages, n: 3, stop: [" 75"] });
		assert.deepEqual(answer.choices.map((c) => c.message.content), Array(3).fill("27 + 48 ="));
	});

	it("tells logprobs of each token, whole and streamed, and says the same", async () => {
		const plain = await client.chat.completions.create({ model, messages });
		const ask = { model, messages, logprobs: true, top_logprobs: 2 };
		const choice = (await client.chat.completions.create(ask)).choices[0];
		assert.equal(choice.message.content, plain.choices[0].message.content);
		const tokens = choice.logprobs.content;
		assert.equal(Buffer.from(tokens.flatMap((t) => t.bytes)).toString().trimStart(),
			choice.message.content.trimStart());
		for (const token of tokens) {
			assert.ok(token.logprob <= 0 && token.logprob > -20);
			assert.equal(token.top_logprobs.length, 2);
			assert.equal(token.top_logprobs[0].token, token.token); /* the likeliest was drawn */
		}
		const streamed = [];
		for await (const chunk of await client.chat.completions.create({ ...ask, stream: true }))
			streamed.push(...(chunk.choices[0].logprobs?.content ?? []));
		assert.deepEqual(streamed, tokens);
		const completion = await client.completions.create(
			{ model, prompt: "27 + 48 =", max_tokens: 3, logprobs: 1 });
		const lists = completion.choices[0].logprobs;
		assert.equal(lists.tokens.length, 3);
		assert.deepEqual(lists.top_logprobs.map((top) => Object.values(top)[0]), lists.token_logprobs);
		assert.deepEqual(lists.text_offset[0], 0);
	});

	it("completes a prompt, whole and streamed", async () => {
		const ask = { model, prompt: "27 + 48 =", max_tokens: 4 };
		const whole = (await client.completions.create(ask)).choices[0].text;
		let text = "";
		for await (const chunk of await client.completions.create({ ...ask, stream: true }))
			text += chunk.choices[0]?.text ?? "";
		assert.equal(text, whole);
	});

	it("answers by the Responses API, whole and streamed, and goes on from what it gave", async () => {
		const whole = await client.responses.create({ model, input: "What is 27 + 48?" });
		assert.equal(whole.output_text, "27 + 48 = 75");
		assert.equal(whole.status, "completed");
		const stream = client.responses.stream({ model, input: messages });
		let text = "";
		for await (const event of stream)
			if (event.type === "response.output_text.delta")
				text += event.delta;
		const last = await stream.finalResponse();
		assert.equal(text, whole.output_text);
		assert.equal(last.output_text, text);
		assert.deepEqual(last.usage, { ...whole.usage, input_tokens_details: last.usage.input_tokens_details });
		const more = [...messages, ...last.output, ...messages];
		assert.equal((await client.responses.create({ model, input: more })).status, "completed");
		const cut = await client.responses.create({ model, input: messages, max_output_tokens: 2 });
		assert.equal(cut.incomplete_details.reason, "max_output_tokens");
	});

	it("throws errors of the right class, with the parameter's name", async () => {
		await assert.rejects(client.chat.completions.create({ model: "none", messages }),
			(e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
		await assert.rejects(client.chat.completions.create({ model, messages, presence_penalty: 3 }),
			(e) => e instanceof OpenAI.BadRequestError && e.param === "presence_penalty");
		await assert.rejects(client.chat.completions.create({ model, messages: [] }),
			(e) => e instanceof OpenAI.BadRequestError && e.param === "messages");
	});

	it("says that a model's template has no tools", async () => {
		const tools = [{ type: "function", function: { name: "add", parameters: {} } }];
		await assert.rejects(client.chat.completions.create({ model, messages, tools }),
			(e) => e instanceof OpenAI.BadRequestError && /template of ayni-demo has no tools/.test(e.message));
		const plain = await client.chat.completions.create(
			{ model, messages, tools, tool_choice: "none" });
		assert.equal(plain.choices[0].message.content, "27 + 48 = 75");
	});

	it("frees the session when a stream is aborted", async () => {
		const stream = await client.chat.completions.create({ ...long, stream: true });
		for await (const chunk of stream) {
			if (chunk.choices[0]?.delta?.content) {
				stream.controller.abort();
				break;
			}
		}
		while ((await metric("ayni_model_sessions")) > 0);
		assert.equal(await metric("ayni_http_requests_running"), 0);
		assert.ok((await metric("ayni_http_hung_up_total")) >= 1);
	});
});

describe("ollama", () => {
	const { Ollama } = require("ollama");
	const client = new Ollama({ host: url });

	it("lists models", async () => {
		assert.deepEqual((await client.list()).models.map((m) => m.name), [model]);
	});

	it("answers a chat, whole and streamed", async () => {
		const whole = await client.chat({ model, messages });
		assert.equal(whole.message.content, "27 + 48 = 75");
		let text = "", last = null;
		for await (const part of await client.chat({ model, messages, stream: true })) {
			text += part.message.content;
			last = part;
		}
		assert.equal(text, "27 + 48 = 75");
		assert.ok(last.done && last.eval_count > 0);
	});

	it("generates, with options", async () => {
		const answer = await client.generate({
			model, prompt: "What is 27 + 48?", options: { num_predict: 2, seed: 1 },
		});
		assert.equal(answer.done_reason, "length");
		assert.equal(answer.eval_count, 2);
	});

	it("throws what is wrong", async () => {
		await assert.rejects(client.chat({ model: "none", messages }), /no model/);
	});
});
