/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prompt formats of published model families, by templates that use the constructs theirs use.
 * What they must give was worked out with jinja2 under Hugging Face's settings.
 */
#include "tests/support/template_check.h"

#include <setjmp.h>

#include <cmocka.h>

static const char chatml[] = "{% for m in messages %}\n"
                             "<|im_start|>{{ m.role }}\n"
                             "{{ m['content'] }}<|im_end|>\n"
                             "{% endfor %}\n"
                             "{% if add_generation_prompt %}\n"
                             "{{ '<|im_start|>assistant\\n' }}\n"
                             "{% endif %}\n";

static void renders_chatml_with_a_generation_prompt(void **state)
{
	(void)state;
	expect_render(chatml,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
	    "\"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": "
	    "\"Hello!\"}, {\"role\": \"user\", \"content\": \"Gr\303\274\303\237e\"}], "
	    "\"add_generation_prompt\": true}",
	    "<|im_start|>system\n"
	    "Be brief.<|im_end|>\n"
	    "<|im_start|>user\n"
	    "Hi<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "Hello!<|im_end|>\n"
	    "<|im_start|>user\n"
	    "Gr\303\274\303\237e<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "\n");
	expect_render(chatml,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": "
	    "\"assistant\", \"content\": \"Hello!\"}], \"add_generation_prompt\": false}",
	    "<|im_start|>user\n"
	    "Hi<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "Hello!<|im_end|>\n");
}

static const char qwen_2_5[] =
    "{%- macro turn(role, text) %}{{ '<|im_start|>' ~ role ~ '\\n' ~ text ~ "
    "'<|im_end|>\\n' }}{% endmacro %}\n"
    "{%- set system = messages[0].content if messages[0].role == 'system' else 'You "
    "are a helpful assistant.' %}\n"
    "{%- set rest = messages[1:] if messages[0].role == 'system' else messages %}\n"
    "{%- if tools %}\n"
    "    {%- set system %}\n"
    "{{ system }}\n"
    "\n"
    "# Tools\n"
    "\n"
    "<tools>\n"
    "{% for tool in tools %}\n"
    "{{ tool | tojson }}\n"
    "{% endfor %}\n"
    "</tools>\n"
    "    {%- endset %}\n"
    "{%- endif %}\n"
    "{{- turn('system', system) }}\n"
    "{%- for m in rest %}\n"
    "    {%- if m.role == 'tool' %}\n"
    "        {{- '<|im_start|>user' if loop.first or rest[loop.index0 - 1].role != "
    "'tool' }}\n"
    "        {{- '\\n<tool_response>\\n' ~ m.content ~ '\\n</tool_response>' }}\n"
    "        {{- '<|im_end|>\\n' if loop.last or loop.nextitem.role != 'tool' }}\n"
    "    {%- elif m.tool_calls %}\n"
    "        {{- '<|im_start|>assistant' }}\n"
    "        {%- for c in m.tool_calls | map(attribute='function') %}\n"
    "            {{- '\\n<tool_call>\\n{\"name\": \"' ~ c.name ~ '\", \"arguments\": "
    "' ~ c.arguments|tojson ~ '}\\n</tool_call>' }}\n"
    "        {%- endfor %}\n"
    "        {{- '<|im_end|>\\n' }}\n"
    "    {%- else %}\n"
    "        {{- turn(m.role, m.content) }}\n"
    "    {%- endif %}\n"
    "{%- endfor %}\n"
    "{{- '<|im_start|>assistant\\n' if add_generation_prompt }}\n";

static void renders_qwen_2_5_with_tools(void **state)
{
	(void)state;
	expect_render(qwen_2_5,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role\": "
	    "\"assistant\", \"content\": \"\", \"tool_calls\": [{\"id\": \"abcdefgh1\", "
	    "\"type\": \"function\", \"function\": {\"name\": \"weather\", \"arguments\": "
	    "{\"city\": \"Z\303\274rich\"}}}]}, {\"role\": \"tool\", \"content\": \"20\"}, "
	    "{\"role\": \"tool\", \"content\": \"rain\"}], \"tools\": [{\"type\": "
	    "\"function\", \"function\": {\"name\": \"weather\", \"description\": \"Weather "
	    "of a city\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": "
	    "{\"type\": \"string\"}}, \"required\": [\"city\"]}}}], "
	    "\"add_generation_prompt\": true}",
	    "<|im_start|>system\n"
	    "You are a helpful assistant.\n"
	    "\n"
	    "# Tools\n"
	    "\n"
	    "<tools>\n"
	    "{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": "
	    "\"Weather of a city\", \"parameters\": {\"type\": \"object\", \"properties\": "
	    "{\"city\": {\"type\": \"string\"}}, \"required\": [\"city\"]}}}\n"
	    "</tools><|im_end|>\n"
	    "<|im_start|>user\n"
	    "Weather?<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "<tool_call>\n"
	    "{\"name\": \"weather\", \"arguments\": {\"city\": \"Z\303\274rich\"}}\n"
	    "</tool_call><|im_end|>\n"
	    "<|im_start|>user\n"
	    "<tool_response>\n"
	    "20\n"
	    "</tool_response>\n"
	    "<tool_response>\n"
	    "rain\n"
	    "</tool_response><|im_end|>\n"
	    "<|im_start|>assistant\n");
	expect_render(qwen_2_5,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
	    "\"user\", \"content\": \"Hi\"}], \"tools\": null, \"add_generation_prompt\": true}",
	    "<|im_start|>system\n"
	    "Be brief.<|im_end|>\n"
	    "<|im_start|>user\n"
	    "Hi<|im_end|>\n"
	    "<|im_start|>assistant\n");
}

static const char qwen_3[] =
    "{%- set last = namespace(user=-1, open=true) %}\n"
    "{%- for m in messages[::-1] if m.role == 'user' %}\n"
    "    {%- if last.open and not m.content.startswith('<tool_response>') %}\n"
    "        {%- set last.open = false %}\n"
    "        {%- set last.user = messages.index(m) %}\n"
    "    {%- endif %}\n"
    "{%- endfor %}\n"
    "{%- for m in messages %}\n"
    "    {{- '<|im_start|>' + m.role + '\\n' }}\n"
    "    {%- set answer = m.content.split('</think>')[-1].lstrip('\\n') %}\n"
    "    {%- set thought = "
    "m.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n"
    "    {%- if m.role == 'assistant' and '</think>' in m.content and loop.index0 > "
    "last.user %}\n"
    "        {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + answer }}\n"
    "    {%- else %}\n"
    "        {{- answer }}\n"
    "    {%- endif %}\n"
    "    {{- '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|im_start|>assistant\\n' }}\n"
    "    {%- if enable_thinking is defined and enable_thinking is false %}\n"
    "        {{- '<think>\\n\\n</think>\\n\\n' }}\n"
    "    {%- endif %}\n"
    "{%- endif %}\n";

static void renders_qwen_3_and_drops_old_thoughts(void **state)
{
	(void)state;
	expect_render(qwen_3,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": "
	    "\"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": "
	    "\"<think>\\nhmm\\n</think>\\n\\n1\"}, {\"role\": \"user\", \"content\": "
	    "\"two\"}, {\"role\": \"assistant\", \"content\": "
	    "\"<think>\\nwell\\n</think>\\n\\n2\"}], \"add_generation_prompt\": false}",
	    "<|im_start|>system\n"
	    "S<|im_end|>\n"
	    "<|im_start|>user\n"
	    "one<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "1<|im_end|>\n"
	    "<|im_start|>user\n"
	    "two<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "<think>\n"
	    "well\n"
	    "</think>\n"
	    "\n"
	    "2<|im_end|>\n");
	expect_render(qwen_3,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": "
	    "\"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": "
	    "\"<think>\\nhmm\\n</think>\\n\\n1\"}, {\"role\": \"user\", \"content\": "
	    "\"two\"}], \"add_generation_prompt\": true, \"enable_thinking\": false}",
	    "<|im_start|>system\n"
	    "S<|im_end|>\n"
	    "<|im_start|>user\n"
	    "one<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "1<|im_end|>\n"
	    "<|im_start|>user\n"
	    "two<|im_end|>\n"
	    "<|im_start|>assistant\n"
	    "<think>\n"
	    "\n"
	    "</think>\n"
	    "\n");
	expect_render(qwen_3,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": "
	    "\"user\", \"content\": \"one\"}], \"add_generation_prompt\": true, "
	    "\"enable_thinking\": true}",
	    "<|im_start|>system\n"
	    "S<|im_end|>\n"
	    "<|im_start|>user\n"
	    "one<|im_end|>\n"
	    "<|im_start|>assistant\n");
}

static const char llama_2[] =
    "{% set ns = namespace(system='') %}\n"
    "{% for m in messages if m.role != 'system' %}\n"
    "{% if (loop.index0 % 2 == 0) != (m.role == 'user') %}\n"
    "{{ raise_exception('turns of user and assistant must alternate') }}\n"
    "{% endif %}\n"
    "{% if loop.first and messages[0].role == 'system' %}\n"
    "{% set ns.system = '<<SYS>>\\n' ~ messages[0].content ~ '\\n<</SYS>>\\n\\n' %}\n"
    "{% endif %}\n"
    "{% if m.role == 'user' %}\n"
    "{{ bos_token + '[INST] ' + (ns.system ~ m.content).strip() + ' [/INST]' -}}\n"
    "{% set ns.system = '' %}\n"
    "{% else %}\n"
    "{{ ' ' + m.content.strip() + ' ' + eos_token -}}\n"
    "{% endif %}\n"
    "{% endfor %}";

static void renders_llama_2_and_refuses_roles_that_do_not_alternate(void **state)
{
	(void)state;
	expect_render(llama_2,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
	    "\"user\", \"content\": \" Hi \"}, {\"role\": \"assistant\", \"content\": "
	    "\"Hello! \"}, {\"role\": \"user\", \"content\": \"Bye\"}], \"bos_token\": "
	    "\"<s>\", \"eos_token\": \"</s>\"}",
	    "<s>[INST] <<SYS>>\n"
	    "Be brief.\n"
	    "<</SYS>>\n"
	    "\n"
	    " Hi [/INST] Hello! </s><s>[INST] Bye [/INST]");
	expect_error(llama_2,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\", "
	    "\"content\": \"b\"}], \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}",
	    AYNI_ERR_ARGUMENT, "turns of user and assistant must alternate");
}

static const char llama_3_1[] =
    "{%- macro head(role) %}{{ '<|start_header_id|>' ~ role ~ "
    "'<|end_header_id|>\\n\\n' }}{% endmacro %}\n"
    "{%- set ns = namespace(tools=tools|default(none), system='') %}\n"
    "{%- if messages and messages[0]['role'] == 'system' %}\n"
    "    {%- set ns.system = messages[0]['content']|trim %}\n"
    "    {%- set messages = messages[1:] %}\n"
    "{%- endif %}\n"
    "{{- bos_token ~ head('system') }}\n"
    "{{- 'Environment: ipython\\n' if ns.tools is not none }}\n"
    "{{- 'Today Date: ' ~ date_string|default('26 Jul 2024') ~ '\\n\\n' ~ ns.system "
    "~ '<|eot_id|>' }}\n"
    "{%- for m in messages %}\n"
    "    {%- if m.tool_calls is defined %}\n"
    "        {%- if m.tool_calls|length > 1 %}\n"
    "            {{- raise_exception('one call of a tool at a time') }}\n"
    "        {%- endif %}\n"
    "        {%- set f = m.tool_calls[0].function %}\n"
    "        {{- head('assistant') ~ '{\"name\": \"' + f.name + '\", \"parameters\": "
    "' ~ f.arguments|tojson ~ '}' }}\n"
    "    {%- elif m.role in ('tool', 'ipython') %}\n"
    "        {{- head('ipython') }}\n"
    "        {{- m.content|tojson if m.content is mapping or m.content is iterable "
    "else m.content }}\n"
    "    {%- else %}\n"
    "        {{- head(m.role) }}\n"
    "        {%- if ns.tools and m.role == 'user' %}\n"
    "            {%- for tool in ns.tools %}\n"
    "                {{- tool|tojson(indent=4) + '\\n\\n' }}\n"
    "            {%- endfor %}\n"
    "            {%- set ns.tools = none %}\n"
    "        {%- endif %}\n"
    "        {{- m.content|trim }}\n"
    "    {%- endif %}\n"
    "    {{- '<|eot_id|>' }}\n"
    "{%- else %}\n"
    "    {{- raise_exception('there is no message of a user') }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- head('assistant') }}\n"
    "{%- endif %}\n";

static void renders_llama_3_1_with_tools(void **state)
{
	(void)state;
	expect_render(llama_3_1,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \" Be brief.\\n\"}, "
	    "{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role\": \"assistant\", "
	    "\"content\": \"\", \"tool_calls\": [{\"id\": \"abcdefgh1\", \"type\": "
	    "\"function\", \"function\": {\"name\": \"weather\", \"arguments\": {\"city\": "
	    "\"Z\303\274rich\"}}}]}, {\"role\": \"tool\", \"content\": {\"temperature\": "
	    "20}}], \"tools\": [{\"type\": \"function\", \"function\": {\"name\": "
	    "\"weather\", \"description\": \"Weather of a city\", \"parameters\": {\"type\": "
	    "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": "
	    "[\"city\"]}}}], \"bos_token\": \"<|begin_of_text|>\", "
	    "\"add_generation_prompt\": true}",
	    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n"
	    "\n"
	    "Environment: ipython\n"
	    "Today Date: 26 Jul 2024\n"
	    "\n"
	    "Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n"
	    "\n"
	    "{\n"
	    "    \"type\": \"function\",\n"
	    "    \"function\": {\n"
	    "        \"name\": \"weather\",\n"
	    "        \"description\": \"Weather of a city\",\n"
	    "        \"parameters\": {\n"
	    "            \"type\": \"object\",\n"
	    "            \"properties\": {\n"
	    "                \"city\": {\n"
	    "                    \"type\": \"string\"\n"
	    "                }\n"
	    "            },\n"
	    "            \"required\": [\n"
	    "                \"city\"\n"
	    "            ]\n"
	    "        }\n"
	    "    }\n"
	    "}\n"
	    "\n"
	    "Weather?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
	    "\n"
	    "{\"name\": \"weather\", \"parameters\": {\"city\": "
	    "\"Z\303\274rich\"}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n"
	    "\n"
	    "{\"temperature\": 20}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
	    "\n");
	expect_render(llama_3_1,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": "
	    "\"assistant\", \"content\": \" Hello \"}], \"bos_token\": "
	    "\"<|begin_of_text|>\", \"date_string\": \"1 Jan 2026\"}",
	    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n"
	    "\n"
	    "Today Date: 1 Jan 2026\n"
	    "\n"
	    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n"
	    "\n"
	    "Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
	    "\n"
	    "Hello<|eot_id|>");
	expect_error(llama_3_1,
	    "{\"messages\": [], \"tools\": [{\"type\": \"function\", \"function\": "
	    "{\"name\": \"weather\", \"description\": \"Weather of a city\", \"parameters\": "
	    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, "
	    "\"required\": [\"city\"]}}}], \"bos_token\": \"\"}",
	    AYNI_ERR_ARGUMENT, "there is no message of a user");
}

static const char deepseek_r1[] =
    "{% set ns = namespace(outputs=false, calls=false) %}\n"
    "{{ bos_token }}{{ messages | selectattr('role', 'equalto', 'system') | "
    "map(attribute='content') | join('\\n\\n') }}\n"
    "{%- for m in messages -%}\n"
    "    {%- if m['role'] == 'user' %}{{ '<\357\275\234User\357\275\234>' + "
    "m['content'] }}\n"
    "    {%- elif m['role'] == 'tool' -%}\n"
    "        {{ '\\n' if ns.outputs else "
    "'<\357\275\234tool\342\226\201outputs\342\226\201begin\357\275\234>' }}{{ "
    "m['content'] }}\n"
    "        {%- set ns.outputs = true -%}\n"
    "    {%- elif m['role'] == 'assistant' and 'tool_calls' in m -%}\n"
    "        {%- for c in m['tool_calls'] -%}\n"
    "            {{ '\\n' if ns.calls else "
    "'<\357\275\234Assistant\357\275\234><\357\275\234tool\342\226\201calls"
    "\342\226\201begin\357\275\234>' -}}\n"
    "            {{ c['type'] + '<\357\275\234tool\342\226\201sep\357\275\234>' + "
    "c['function']['name'] + '\\n```json\\n' + c['function']['arguments'] + '\\n```' }}\n"
    "            {%- set ns.calls = true -%}\n"
    "        {%- endfor -%}\n"
    "        {{ '<\357\275\234tool\342\226\201calls\342\226\201end\357\275\234>' }}\n"
    "    {%- elif m['role'] == 'assistant' -%}\n"
    "        {%- set content = m['content'] -%}\n"
    "        {%- if '</think>' in content %}{% set content = "
    "content.split('</think>')[-1] %}{% endif -%}\n"
    "        {{ '<\357\275\234tool\342\226\201outputs\342\226\201end\357\275\234>' "
    "if ns.outputs else '<\357\275\234Assistant\357\275\234>' }}{{ content + "
    "'<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>' }}\n"
    "        {%- set ns.outputs = false -%}\n"
    "    {%- endif -%}\n"
    "{%- endfor -%}\n"
    "{% if add_generation_prompt is defined and add_generation_prompt and not "
    "ns.outputs %}{{ '<\357\275\234Assistant\357\275\234><think>\\n' }}{% endif %}";

static void renders_deepseek_r1_without_old_thoughts(void **state)
{
	(void)state;
	expect_render(deepseek_r1,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"A\"}, {\"role\": "
	    "\"system\", \"content\": \"B\"}, {\"role\": \"user\", \"content\": \"one\"}, "
	    "{\"role\": \"assistant\", \"content\": \"<think>x</think>1\"}, {\"role\": "
	    "\"user\", \"content\": \"two\"}], \"bos_token\": \"<s>\", "
	    "\"add_generation_prompt\": true}",
	    "<s>A\n"
	    "\n"
	    "B<\357\275\234User\357\275\234>one<\357\275\234Assistant\357\275\234>1<"
	    "\357\275\234end\342\226\201of\342\226\201sentence\357\275\234><\357\275\234User"
	    "\357\275\234>two<\357\275\234Assistant\357\275\234><think>\n");
	expect_render(deepseek_r1,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role\": "
	    "\"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"abcdefgh1\", "
	    "\"type\": \"function\", \"function\": {\"name\": \"weather\", \"arguments\": "
	    "\"{\\\"city\\\": \\\"Bern\\\"}\"}}]}, {\"role\": \"tool\", \"content\": "
	    "\"20\"}, {\"role\": \"tool\", \"content\": \"rain\"}, {\"role\": \"assistant\", "
	    "\"content\": \"Wet.\"}], \"bos_token\": \"<s>\"}",
	    "<s><\357\275\234User\357\275\234>Weather?<\357\275\234Assistant\357\275\234><"
	    "\357\275\234tool\342\226\201calls\342\226\201begin\357\275\234>function<"
	    "\357\275\234tool\342\226\201sep\357\275\234>weather\n"
	    "```json\n"
	    "{\"city\": \"Bern\"}\n"
	    "```<\357\275\234tool\342\226\201calls\342\226\201end\357\275\234><\357\275\234to"
	    "ol\342\226\201outputs\342\226\201begin\357\275\234>20\n"
	    "rain<\357\275\234tool\342\226\201outputs\342\226\201end\357\275\234>Wet.<"
	    "\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(renders_chatml_with_a_generation_prompt),
	    cmocka_unit_test(renders_qwen_2_5_with_tools),
	    cmocka_unit_test(renders_qwen_3_and_drops_old_thoughts),
	    cmocka_unit_test(renders_llama_2_and_refuses_roles_that_do_not_alternate),
	    cmocka_unit_test(renders_llama_3_1_with_tools),
	    cmocka_unit_test(renders_deepseek_r1_without_old_thoughts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
