/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More prompt formats of published model families: see test_template_families.c.
 */
#include "tests/support/template_check.h"

#include <setjmp.h>

#include <cmocka.h>

static const char mistral[] =
    "{%- set system = messages[0].content ~ '\\n\\n' if messages[0].role == 'system' %}\n"
    "{%- set turns = messages | rejectattr('role', 'eq', 'system') | list %}\n"
    "{%- set asked = turns | selectattr('role', 'eq', 'user') | list %}\n"
    "{%- set plain = turns | rejectattr('tool_calls', 'defined') | "
    "rejectattr('role', 'in', ['tool', 'tool_results']) | list %}\n"
    "{%- for m in plain %}\n"
    "    {%- if (m['role'] == 'user') != (loop.index % 2 == 1) %}\n"
    "        {{- raise_exception('turns of user and assistant must alternate') }}\n"
    "    {%- endif %}\n"
    "{%- endfor %}\n"
    "{{- bos_token }}\n"
    "{%- for m in turns %}\n"
    "    {%- if m.role == 'user' %}\n"
    "        {%- if tools is defined and tools is not none and m == asked[-1] %}\n"
    "            {{- '[AVAILABLE_TOOLS][' }}\n"
    "            {%- for tool in tools | map(attribute='function') %}\n"
    "                {{- ', ' if not loop.first }}{{ '{\"type\": \"function\", "
    "\"function\": {' }}\n"
    "                {%- for key, value in tool.items() if key != 'return' %}\n"
    "                    {{- '\"' + key + '\": ' + ('\"' + value + '\"' if value is "
    "string else value|tojson) + (', ' if not loop.last else '') }}\n"
    "                {%- endfor %}\n"
    "                {{- '}}' }}\n"
    "            {%- endfor %}\n"
    "            {{- '][/AVAILABLE_TOOLS]' }}\n"
    "        {%- endif %}\n"
    "        {{- '[INST]' ~ (system if loop.last) ~ m.content ~ '[/INST]' }}\n"
    "    {%- elif m.tool_calls is defined and m.tool_calls is not none %}\n"
    "        {%- for c in m.tool_calls %}\n"
    "            {%- if c.id is undefined or c.id|length != 9 %}\n"
    "                {{- raise_exception('the id of a call has 9 characters') }}\n"
    "            {%- endif %}\n"
    "            {{- ('[TOOL_CALLS][' if loop.first else ', ') + "
    "(c.function|tojson)[:-1] + ', \"id\": \"' + c.id + '\"}' }}\n"
    "        {%- endfor %}\n"
    "        {{- ']' + eos_token }}\n"
    "    {%- elif m.role == 'assistant' %}\n"
    "        {{- m.content + eos_token }}\n"
    "    {%- else %}\n"
    "        {{- '[TOOL_RESULTS]{\"content\": ' + m.content|string + ', \"call_id\": "
    "\"' + m.tool_call_id + '\"}[/TOOL_RESULTS]' }}\n"
    "    {%- endif %}\n"
    "{%- endfor %}\n";

static void renders_mistral_with_tools(void **state)
{
	(void)state;
	expect_render(mistral,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
	    "\"user\", \"content\": \"Weather?\"}, {\"role\": \"assistant\", \"content\": "
	    "\"\", \"tool_calls\": [{\"id\": \"abcdefgh1\", \"type\": \"function\", "
	    "\"function\": {\"name\": \"weather\", \"arguments\": {\"city\": "
	    "\"Z\303\274rich\"}}}]}, {\"role\": \"tool\", \"content\": \"20\", "
	    "\"tool_call_id\": \"abcdefgh1\"}, {\"role\": \"assistant\", \"content\": "
	    "\"20.\"}, {\"role\": \"user\", \"content\": \"Thanks\"}], \"tools\": "
	    "[{\"type\": \"function\", \"function\": {\"name\": \"weather\", "
	    "\"description\": \"Weather of a city\", \"parameters\": {\"type\": \"object\", "
	    "\"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": "
	    "[\"city\"]}}}], \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}",
	    "<s>[INST]Weather?[/INST][TOOL_CALLS][{\"name\": \"weather\", \"arguments\": "
	    "{\"city\": \"Z\303\274rich\"}, \"id\": "
	    "\"abcdefgh1\"}]</s>[TOOL_RESULTS]{\"content\": 20, \"call_id\": "
	    "\"abcdefgh1\"}[/TOOL_RESULTS]20.</s>[AVAILABLE_TOOLS][{\"type\": \"function\", "
	    "\"function\": {\"name\": \"weather\", \"description\": \"Weather of a city\", "
	    "\"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": "
	    "\"string\"}}, \"required\": [\"city\"]}}}][/AVAILABLE_TOOLS][INST]Be brief.\n"
	    "\n"
	    "Thanks[/INST]");
	expect_render(mistral,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"bos_token\": "
	    "\"<s>\", \"eos_token\": \"</s>\"}",
	    "<s>[INST]Hi[/INST]");
	expect_error(mistral,
	    "{\"messages\": [{\"role\": \"assistant\", \"content\": \"Hi\"}], \"bos_token\": "
	    "\"<s>\", \"eos_token\": \"</s>\"}",
	    AYNI_ERR_ARGUMENT, "turns of user and assistant must alternate");
}

static const char gemma[] =
    "{{ bos_token }}\n"
    "{%- set roles = {'assistant': 'model', 'user': 'user'} -%}\n"
    "{%- set has_system = messages[0].role == 'system' -%}\n"
    "{%- for m in (messages[1:] if has_system else messages) -%}\n"
    "    {%- if m.role not in roles or (loop.index0 is even) != (m.role == 'user') -%}\n"
    "        {{ raise_exception('turns of user and assistant must alternate') }}\n"
    "    {%- endif -%}\n"
    "    {{ '<start_of_turn>' ~ roles[m.role] ~ '\\n' ~ (messages[0].content ~ "
    "'\\n\\n' if loop.first and has_system) }}\n"
    "    {%- if m.content is string -%}\n"
    "        {{ m.content | trim }}\n"
    "    {%- elif m.content is sequence -%}\n"
    "        {%- for part in m.content -%}\n"
    "            {{ {'image': '<start_of_image>', 'text': part.text | "
    "trim}[part.type] }}\n"
    "        {%- endfor -%}\n"
    "    {%- else -%}\n"
    "        {{ raise_exception('content is neither text nor parts') }}\n"
    "    {%- endif -%}\n"
    "    {{ '<end_of_turn>\\n' }}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "    {{ '<start_of_turn>model\\n' }}\n"
    "{%- endif -%}\n";

static void renders_gemma_with_content_in_parts(void **state)
{
	(void)state;
	expect_render(gemma,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
	    "\"user\", \"content\": [{\"type\": \"image\"}, {\"type\": \"text\", \"text\": "
	    "\" What is it?\"}]}, {\"role\": \"assistant\", \"content\": \"A cat.\"}, "
	    "{\"role\": \"user\", \"content\": \"Sure? \"}], \"bos_token\": \"<bos>\", "
	    "\"add_generation_prompt\": true}",
	    "<bos><start_of_turn>user\n"
	    "Be brief.\n"
	    "\n"
	    "<start_of_image>What is it?<end_of_turn>\n"
	    "<start_of_turn>model\n"
	    "A cat.<end_of_turn>\n"
	    "<start_of_turn>user\n"
	    "Sure?<end_of_turn>\n"
	    "<start_of_turn>model\n");
	expect_error(gemma,
	    "{\"messages\": [{\"role\": \"user\", \"content\": 5}], \"bos_token\": \"<bos>\"}",
	    AYNI_ERR_ARGUMENT, "content is neither text nor parts");
}

static const char phi_3[] = "{% for m in messages if m.content %}\n"
                            "{{ '<|' ~ m.role ~ '|>\\n' ~ m.content ~ '<|end|>\\n' -}}\n"
                            "{% endfor %}\n"
                            "{{ '<|assistant|>\\n' if add_generation_prompt else eos_token -}}\n";

static void renders_phi_3(void **state)
{
	(void)state;
	expect_render(phi_3,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"\"}, {\"role\": "
	    "\"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": "
	    "\"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello!\"}], "
	    "\"add_generation_prompt\": true, \"eos_token\": \"<|endoftext|>\"}",
	    "<|system|>\n"
	    "Be brief.<|end|>\n"
	    "<|user|>\n"
	    "Hi<|end|>\n"
	    "<|assistant|>\n"
	    "Hello!<|end|>\n"
	    "<|assistant|>\n");
	expect_render(phi_3,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": "
	    "\"assistant\", \"content\": \"Hello!\"}], \"add_generation_prompt\": false, "
	    "\"eos_token\": \"<|endoftext|>\"}",
	    "<|user|>\n"
	    "Hi<|end|>\n"
	    "<|assistant|>\n"
	    "Hello!<|end|>\n"
	    "<|endoftext|>");
}

static const char gpt_oss[] =
    "{#- Types as TypeScript. -#}\n"
    "{%- macro type_of(spec, nullable=false) -%}\n"
    "    {%- if spec.type == 'array' -%}\n"
    "        {%- set inner = type_of(spec['items']) if spec['items'] else 'any' -%}\n"
    "        {{- ('any' if inner|length > 50 else inner) ~ '[]' }}\n"
    "    {%- elif spec.type is defined and spec.type is iterable and spec.type is "
    "not string and spec.type[0] is defined -%}\n"
    "        {{- spec.type | join(' | ') }}\n"
    "    {%- elif spec.enum -%}\n"
    "        {{- '\"' ~ spec.enum|join('\" | \"') ~ '\"' -}}\n"
    "    {%- elif spec.type == 'object' -%}\n"
    "        {{- '{' }}\n"
    "        {%- for name, inner in spec.properties.items() -%}\n"
    "            {{- ', ' if not loop.first }}{{ name ~ ('' if name in "
    "(spec.required or []) else '?') ~ ': ' }}\n"
    "            {{- type_of(inner, nullable=inner.nullable|default(false)) }}\n"
    "        {%- endfor -%}\n"
    "        {{- '}' }}\n"
    "    {%- else -%}\n"
    "        {{- {'string': 'string', 'integer': 'number', 'number': "
    "'number'}.get(spec.type, 'any') }}\n"
    "    {%- endif -%}\n"
    "    {{- ' | null' if nullable }}\n"
    "{%- endmacro -%}\n"
    "{{- '<|start|>system<|message|>Reasoning: ' ~ "
    "reasoning_effort|default('medium') ~ '<|end|>' }}\n"
    "{%- for tool in tools or [] | map(attribute='function') -%}\n"
    "    {{- '<|start|>developer<|message|>// ' ~ tool.function.description ~ '\\n' "
    "if loop.first }}\n"
    "    {{- 'type ' ~ tool.function.name ~ ' = (_: ' ~ "
    "type_of(tool.function.parameters) ~ ') => any;' }}\n"
    "    {{- '<|end|>' if loop.last }}\n"
    "{%- endfor -%}\n"
    "{%- set last = namespace(name=none) %}\n"
    "{%- for m in messages -%}\n"
    "    {%- if m.tool_calls -%}\n"
    "        {%- set last.name = m.tool_calls[0].function.name %}\n"
    "        {{- '<|start|>assistant to=functions.' ~ last.name ~ "
    "'<|channel|>commentary json<|message|>' }}\n"
    "        {{- m.tool_calls[0].function.arguments|tojson ~ '<|call|>' }}\n"
    "    {%- elif m.role == 'assistant' -%}\n"
    "        {{- '<|start|>assistant<|channel|>final<|message|>' ~ m.content }}\n"
    "        {{- '<|return|>' if loop.last and not add_generation_prompt else "
    "'<|end|>' }}\n"
    "    {%- elif m.role == 'tool' -%}\n"
    "        {{- raise_exception('the answer of a tool without a call') if last.name "
    "is none }}\n"
    "        {{- '<|start|>functions.' ~ last.name ~ ' "
    "to=assistant<|channel|>commentary<|message|>' }}\n"
    "        {{- m.content|tojson ~ '<|end|>' }}\n"
    "    {%- else -%}\n"
    "        {{- '<|start|>' ~ m.role ~ '<|message|>' ~ m.content ~ '<|end|>' }}\n"
    "    {%- endif -%}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "<|start|>assistant\n"
    "{%- endif -%}\n";

static void renders_gpt_oss_with_recursive_macros(void **state)
{
	(void)state;
	expect_render(gpt_oss,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role\": "
	    "\"assistant\", \"content\": \"\", \"tool_calls\": [{\"id\": \"abcdefgh1\", "
	    "\"type\": \"function\", \"function\": {\"name\": \"weather\", \"arguments\": "
	    "{\"city\": \"Z\303\274rich\"}}}]}, {\"role\": \"tool\", \"content\": \"20\"}], "
	    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"weather\", "
	    "\"description\": \"Weather of a city\", \"parameters\": {\"type\": \"object\", "
	    "\"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\": "
	    "\"integer\"}, \"unit\": {\"type\": \"string\", \"enum\": [\"c\", \"f\"]}, "
	    "\"tags\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, "
	    "\"nullable\": true}, \"when\": {\"type\": [\"string\", \"null\"]}, \"more\": "
	    "{\"type\": \"object\", \"properties\": {\"x\": {}}}}, \"required\": "
	    "[\"city\"]}}}], \"add_generation_prompt\": true, \"reasoning_effort\": \"high\"}",
	    "<|start|>system<|message|>Reasoning: high<|end|><|start|>developer<|message|>// "
	    "Weather of a city\n"
	    "type weather = (_: {city: string, days?: number, unit?: \"c\" | \"f\", tags?: "
	    "string[] | null, when?: string | null, more?: {x?: any}}) => "
	    "any;<|end|><|start|>user<|message|>Weather?<|end|><|start|>assistant "
	    "to=functions.weather<|channel|>commentary json<|message|>{\"city\": "
	    "\"Z\303\274rich\"}<|call|><|start|>functions.weather "
	    "to=assistant<|channel|>commentary<|message|>\"20\"<|end|><|start|>assistant");
	expect_render(gpt_oss,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": "
	    "\"assistant\", \"content\": \"Hello!\"}], \"add_generation_prompt\": false}",
	    "<|start|>system<|message|>Reasoning: "
	    "medium<|end|><|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final"
	    "<|message|>Hello!<|return|>");
	expect_error(gpt_oss, "{\"messages\": [{\"role\": \"tool\", \"content\": \"20\"}]}",
	    AYNI_ERR_ARGUMENT, "the answer of a tool without a call");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(renders_mistral_with_tools),
	    cmocka_unit_test(renders_gemma_with_content_in_parts),
	    cmocka_unit_test(renders_phi_3),
	    cmocka_unit_test(renders_gpt_oss_with_recursive_macros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
