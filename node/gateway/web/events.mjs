// SPDX-License-Identifier: Apache-2.0
// A stream of chat.completion.chunk events from POST /v1/chat/completions. (EventSource only asks by GET.)

// The data of each event of a body; the gateway writes one line of data an event.
export async function* eventData(body) {
	let rest = "";
	for await (const text of texts(body)) {
		const lines = (rest + text).split("\n");
		rest = lines.pop();
		for (const line of lines)
			if (line.startsWith("data: "))
				yield line.slice(6);
	}
}

// As `for await` of a body, which not every browser has.
async function* texts(body) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	for (let part = await reader.read(); !part.done; part = await reader.read())
		yield part.value;
}

// Yields { text, reasoning, usage }; throws what the gateway says is wrong.
export async function* askChat(request, signal) {
	const answer = await fetch("v1/chat/completions", {
		method: "POST", signal, headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
	});
	if (!answer.ok)
		throw new Error((await answer.json()).error.message);
	for await (const data of eventData(answer.body)) {
		if (data === "[DONE]")
			return;
		const chunk = JSON.parse(data);
		if (chunk.error)
			throw new Error(chunk.error.message);
		const delta = chunk.choices[0]?.delta ?? {};
		yield { text: delta.content ?? "", reasoning: delta.reasoning_content ?? "", usage: chunk.usage };
	}
}
