/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompt formats of the families that test_template_families.c leaves out. What is expected was
 * written down from the published formats, and is what Jinja gives.
 */
#include "tests/support/template_check.h"

#include <setjmp.h>

#include <cmocka.h>

static const char llama_3[] =
    "{% set loop_messages = messages %}{% for m in loop_messages %}{% set content ="
    " '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] "
    "| trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + "
    "content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{"
    " '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

static void renders_llama_3(void **state)
{
	(void)state;
	expect_render(llama_3,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role"
	    "\": \"user\", \"content\": \" one\\n\"}, {\"role\": \"assistant\", \"content"
	    "\": \"1\"}], \"bos_token\": \"<|begin_of_text|>\", \"add_generation_prompt"
	    "\": true}",
	    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n"
	    "\n"
	    "Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n"
	    "\n"
	    "one<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
	    "\n"
	    "1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
	    "\n");
}

static const char llama_4[] =
    "{{- bos_token }}\n"
    "{%- if messages[0]['role'] == 'system' %}\n"
    "    {%- if messages[0]['content'] is string %}\n"
    "        {%- set system_message = messages[0]['content']|trim %}\n"
    "    {%- else %}\n"
    "        {%- set system_message = messages[0]['content'][0]['text']|trim %}\n"
    "    {%- endif %}\n"
    "    {%- set messages = messages[1:] %}\n"
    "{%- else %}\n"
    "    {%- set system_message = '' %}\n"
    "{%- endif %}\n"
    "{%- if system_message %}\n"
    "    {{- '<|header_start|>system<|header_end|>\\n\\n' + system_message + '<|eot"
    "|>' }}\n"
    "{%- endif %}\n"
    "{%- for m in messages %}\n"
    "    {{- '<|header_start|>' + m['role'] + '<|header_end|>\\n\\n' }}\n"
    "    {%- if m['content'] is string %}\n"
    "        {{- m['content'] }}\n"
    "    {%- else %}\n"
    "        {%- for part in m['content'] %}\n"
    "            {{- '<|image|>' if part['type'] == 'image' else part['text'] | tri"
    "m }}\n"
    "        {%- endfor %}\n"
    "    {%- endif %}\n"
    "    {{- '<|eot|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|header_start|>assistant<|header_end|>\\n\\n' }}\n"
    "{%- endif %}";

static void renders_llama_4_with_content_in_parts(void **state)
{
	(void)state;
	expect_render(llama_4,
	    "{\"messages\": [{\"role\": \"system\", \"content\": [{\"type\": \"text"
	    "\", \"text\": \" Be brief. \"}]}, {\"role\": \"user\", \"content\": [{\"type"
	    "\": \"image\"}, {\"type\": \"text\", \"text\": \" What? \"}]}, {\"role"
	    "\": \"assistant\", \"content\": \"A cat.\"}], \"bos_token\": \"<|begin_of_text"
	    "|>\", \"add_generation_prompt\": true}",
	    "<|begin_of_text|><|header_start|>system<|header_end|>\n"
	    "\n"
	    "Be brief.<|eot|><|header_start|>user<|header_end|>\n"
	    "\n"
	    "<|image|>What?<|eot|><|header_start|>assistant<|header_end|>\n"
	    "\n"
	    "A cat.<|eot|><|header_start|>assistant<|header_end|>\n"
	    "\n");
	expect_render(llama_4,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi \"}], \"bos_token"
	    "\": \"\"}",
	    "<|header_start|>user<|header_end|>\n"
	    "\n"
	    "Hi <|eot|>");
}

static const char phi_4[] =
    "{% for m in messages %}{% if (m['role'] == 'system') %}{{'<|im_start|>system<|"
    "im_sep|>' + m['content'] + '<|im_end|>'}}{% elif (m['role'] == 'user') %}{{'<|"
    "im_start|>user<|im_sep|>' + m['content'] + '<|im_end|>'}}{% elif (m['role'] =="
    " 'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + m['content'] + '<|im_end"
    "|>'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assi"
    "stant<|im_sep|>' }}{% endif %}";

static void renders_phi_4(void **state)
{
	(void)state;
	expect_render(phi_4,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role"
	    "\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content"
	    "\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], \"add_generation_prom"
	    "pt\": true}",
	    "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>one<|"
	    "im_end|><|im_start|>assistant<|im_sep|>1<|im_end|><|im_start|>user<|im_sep|>tw"
	    "o<|im_end|><|im_start|>assistant<|im_sep|>");
}

static const char phi_4_mini[] =
    "{% for m in messages %}{% if m['role'] == 'system' and 'tools' in m and m['too"
    "ls'] is not none %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|tool|>' + m["
    "'tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + m['role'] + '|>' + m["
    "'content'] + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}";

static void renders_phi_4_mini_with_tools(void **state)
{
	(void)state;
	expect_render(phi_4_mini,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\", \"tools"
	    "\": \"[{\\\"name\\\": \\\"f\\\"}]\"}, {\"role\": \"user\", \"content\": \"one"
	    "\"}], \"add_generation_prompt\": true, \"eos_token\": \"<|endoftext|>\"}",
	    "<|system|>Be brief.<|tool|>[{\"name\": \"f\"}]<|/tool|><|end|><|user|>one<|end"
	    "|><|assistant|>");
	expect_render(phi_4_mini,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assis"
	    "tant\", \"content\": \"1\"}], \"add_generation_prompt\": false, \"eos_token"
	    "\": \"<|endoftext|>\"}",
	    "<|user|>one<|end|><|assistant|>1<|end|><|endoftext|>");
}

static const char gemma_2[] =
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('a s"
    "ystem message has no place here') }}{% endif %}{% for m in messages %}{% if (m"
    "['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns of u"
    "ser and assistant must alternate') }}{% endif %}{% if (m['role'] == 'assistant"
    "') %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}{{"
    " '<start_of_turn>' + role + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }"
    "}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% end"
    "if %}";

static void renders_gemma_2_and_refuses_a_system_message(void **state)
{
	(void)state;
	expect_render(gemma_2,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assis"
	    "tant\", \"content\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], "
	    "\"bos_token\": \"<bos>\", \"add_generation_prompt\": true}",
	    "<bos><start_of_turn>user\n"
	    "one<end_of_turn>\n"
	    "<start_of_turn>model\n"
	    "1<end_of_turn>\n"
	    "<start_of_turn>user\n"
	    "two<end_of_turn>\n"
	    "<start_of_turn>model\n");
	expect_error(gemma_2,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role"
	    "\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content"
	    "\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], \"bos_token\": \"<bos"
	    ">\"}",
	    AYNI_ERR_ARGUMENT, "a system message has no place here");
}

static const char mixtral[] =
    "{%- if messages[0][\"role\"] == \"system\" %}\n"
    "    {%- set system_message = messages[0][\"content\"] %}\n"
    "    {%- set loop_messages = messages[1:] %}\n"
    "{%- else %}\n"
    "    {%- set loop_messages = messages %}\n"
    "{%- endif %}\n"
    "{{- bos_token }}\n"
    "{%- for m in loop_messages %}\n"
    "    {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{- raise_exception('turns of user and assistant must alternate') }}\n"
    "    {%- endif %}\n"
    "    {%- if m[\"role\"] == \"user\" %}\n"
    "        {%- if loop.first and system_message is defined %}\n"
    "            {{- \" [INST] \" + system_message + \"\\n\\n\" + m[\"content\"] + "
    "\" [/INST]\" }}\n"
    "        {%- else %}\n"
    "            {{- \" [INST] \" + m[\"content\"] + \" [/INST]\" }}\n"
    "        {%- endif %}\n"
    "    {%- elif m[\"role\"] == \"assistant\" %}\n"
    "        {{- \" \" + m[\"content\"] + eos_token}}\n"
    "    {%- endif %}\n"
    "{%- endfor %}";

static void renders_mixtral(void **state)
{
	(void)state;
	expect_render(mixtral,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role"
	    "\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content"
	    "\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], \"bos_token\": \"<s>"
	    "\", \"eos_token\": \"</s>\"}",
	    "<s> [INST] Be brief.\n"
	    "\n"
	    "one [/INST] 1</s> [INST] two [/INST]");
	expect_render(mixtral,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assis"
	    "tant\", \"content\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], "
	    "\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}",
	    "<s> [INST] one [/INST] 1</s> [INST] two [/INST]");
}

static const char ministral_3[] =
    "{%- set default_system = 'You reason first.' %}\n"
    "{{- bos_token }}\n"
    "{%- if messages[0]['role'] == 'system' %}\n"
    "    {%- if messages[0]['content'] is string %}{% set system = messages[0]['con"
    "tent'] %}{% else %}\n"
    "    {%- set ns = namespace(text='') %}\n"
    "    {%- for part in messages[0]['content'] %}\n"
    "        {%- if part['type'] == 'text' %}{% set ns.text = ns.text ~ part['text'"
    "] %}\n"
    "        {%- elif part['type'] == 'thinking' %}{% set ns.text = ns.text ~ '[THI"
    "NK]' ~ part['thinking'] ~ '[/THINK]' %}{% endif %}\n"
    "    {%- endfor %}{% set system = ns.text %}{% endif %}\n"
    "    {%- set turns = messages[1:] %}\n"
    "{%- else %}{% set system = default_system %}{% set turns = messages %}{% endif"
    " %}\n"
    "{{- '[SYSTEM_PROMPT]' ~ system ~ '[/SYSTEM_PROMPT]' }}\n"
    "{%- for m in turns %}\n"
    "    {%- if m['role'] == 'user' %}{{ '[INST]' ~ m['content'] ~ '[/INST]' }}\n"
    "    {%- elif m['role'] == 'assistant' %}{{ m['content'] ~ eos_token }}\n"
    "    {%- else %}{{ raise_exception('unknown role: ' ~ m['role']) }}{% endif %}"
    "\n"
    "{%- endfor %}";

static void renders_ministral_3_with_thinking_in_parts(void **state)
{
	(void)state;
	expect_render(ministral_3,
	    "{\"messages\": [{\"role\": \"system\", \"content\": [{\"type\": \"text"
	    "\", \"text\": \"Think so: \"}, {\"type\": \"thinking\", \"thinking\": \"a draf"
	    "t\"}, {\"type\": \"text\", \"text\": \" then answer.\"}]}, {\"role\": \"user"
	    "\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": \"1\"}, {"
	    "\"role\": \"user\", \"content\": \"two\"}], \"bos_token\": \"<s>\", \"eos_toke"
	    "n\": \"</s>\"}",
	    "<s>[SYSTEM_PROMPT]Think so: [THINK]a draft[/THINK] then answer.[/SYSTEM_PROMPT"
	    "][INST]one[/INST]1</s>[INST]two[/INST]");
	expect_render(ministral_3,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}], \"bos_token"
	    "\": \"<s>\"}",
	    "<s>[SYSTEM_PROMPT]You reason first.[/SYSTEM_PROMPT][INST]one[/INST]");
	expect_error(ministral_3,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"robot"
	    "\", \"content\": \"x\"}], \"bos_token\": \"<s>\"}",
	    AYNI_ERR_ARGUMENT, "unknown role: robot");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(renders_llama_3),
	    cmocka_unit_test(renders_llama_4_with_content_in_parts),
	    cmocka_unit_test(renders_phi_4),
	    cmocka_unit_test(renders_phi_4_mini_with_tools),
	    cmocka_unit_test(renders_gemma_2_and_refuses_a_system_message),
	    cmocka_unit_test(renders_mixtral),
	    cmocka_unit_test(renders_ministral_3_with_thinking_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
