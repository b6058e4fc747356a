/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompt formats of DeepSeek's models and distills: see test_template_families.c. What is expected
 * was written down from the published formats, and is what Jinja gives.
 */
#include "tests/support/template_check.h"

#include <setjmp.h>

#include <cmocka.h>

/* DeepSeek-R1's distills of Qwen2.5 and Llama 3: one template, whose answers begin inside a
 * thought. Of several system messages the last counts; old thoughts are left out. */
static const char r1_distill[] =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = fa"
    "lse %}{% endif %}\n"
    "{%- set ns = namespace(called=false, outputs=false, first=true, system='') %}"
    "\n"
    "{%- for m in messages if m['role'] == 'system' %}{% set ns.system = m['content"
    "'] %}{% endfor %}\n"
    "{{- bos_token }}{{ ns.system }}\n"
    "{%- for m in messages %}\n"
    "{%- if m['role'] == 'user' %}{% set ns.outputs = false %}{{ '<\357\275\234User"
    "\357\275\234>' + m['content'] }}{% endif %}\n"
    "{%- if m['role'] == 'assistant' and m['content'] is none %}\n"
    "{%- set ns.outputs = false %}\n"
    "{%- for c in m['tool_calls'] %}\n"
    "{%- set call = '<\357\275\234tool\342\226\201call\342\226\201begin"
    "\357\275\234>' + c['type'] + '<\357\275\234tool\342\226\201sep\357\275\234>' +"
    " c['function']['name'] + '\\n```json\\n' + c['function']['arguments'] + '"
    "\\n```<\357\275\234tool\342\226\201call\342\226\201end\357\275\234>' %}\n"
    "{%- if not ns.called %}{{ '<\357\275\234Assistant\357\275\234><\357\275\234too"
    "l\342\226\201calls\342\226\201begin\357\275\234>' + call }}{% set ns.called = "
    "true %}\n"
    "{%- else %}{{ '\\n' + call }}{{ '<\357\275\234tool\342\226\201calls"
    "\342\226\201end\357\275\234><\357\275\234end\342\226\201of\342\226\201sentence"
    "\357\275\234>' }}{% endif %}\n"
    "{%- endfor %}\n"
    "{%- endif %}\n"
    "{%- if m['role'] == 'assistant' and m['content'] is not none %}\n"
    "{%- if ns.outputs %}{{ '<\357\275\234tool\342\226\201outputs\342\226\201end"
    "\357\275\234>' + m['content'] + '<\357\275\234end\342\226\201of\342\226\201sen"
    "tence\357\275\234>' }}{% set ns.outputs = false %}\n"
    "{%- else %}{% set content = m['content'] %}\n"
    "{%- if '</think>' in content %}{% set content = content.split('</think>')[-1] "
    "%}{% endif %}\n"
    "{{- '<\357\275\234Assistant\357\275\234>' + content + '<\357\275\234end"
    "\342\226\201of\342\226\201sentence\357\275\234>' }}{% endif %}\n"
    "{%- endif %}\n"
    "{%- if m['role'] == 'tool' %}{% set ns.outputs = true %}\n"
    "{{- '<\357\275\234tool\342\226\201outputs\342\226\201begin\357\275\234>' if ns"
    ".first else '\\n' }}{{ '<\357\275\234tool\342\226\201output\342\226\201begin"
    "\357\275\234>' + m['content'] + '<\357\275\234tool\342\226\201output"
    "\342\226\201end\357\275\234>' }}{% set ns.first = false %}\n"
    "{%- endif %}\n"
    "{%- endfor %}\n"
    "{%- if ns.outputs %}{{ '<\357\275\234tool\342\226\201outputs\342\226\201end"
    "\357\275\234>' }}{% endif %}\n"
    "{%- if add_generation_prompt and not ns.outputs %}{{ '<\357\275\234Assistant"
    "\357\275\234><think>\\n' }}{% endif %}";

static void renders_the_r1_distills_of_qwen_and_llama(void **state)
{
	(void)state;
	expect_render(r1_distill,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"A\"}, {\"role\": \"syste"
	    "m\", \"content\": \"B\"}, {\"role\": \"user\", \"content\": \"one\"}, {\"role"
	    "\": \"assistant\", \"content\": \"<think>\\nhm\\n</think>\\n\\n1\"}, {\"role"
	    "\": \"user\", \"content\": \"two\"}], \"bos_token\": \"<\357\275\234begin"
	    "\342\226\201of\342\226\201sentence\357\275\234>\", \"eos_token"
	    "\": \"<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>\", \"add"
	    "_generation_prompt\": true}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>B<"
	    "\357\275\234User\357\275\234>one<\357\275\234Assistant\357\275\234>\n"
	    "\n"
	    "1<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234><\357\275\234U"
	    "ser\357\275\234>two<\357\275\234Assistant\357\275\234><think>\n");
	expect_render(r1_distill,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"bos_token"
	    "\": \"<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>\"}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234><"
	    "\357\275\234User\357\275\234>Hi");
	expect_render(r1_distill,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role"
	    "\": \"assistant\", \"content\": null, \"tool_calls\": [{\"type\": \"function"
	    "\", \"function\": {\"name\": \"weather\", \"arguments\": \"{\\\"city"
	    "\\\": \\\"Bern\\\"}\"}}, {\"type\": \"function\", \"function\": {\"name"
	    "\": \"time\", \"arguments\": \"{}\"}}]}, {\"role\": \"tool\", \"content"
	    "\": \"20\"}, {\"role\": \"tool\", \"content\": \"noon\"}, {\"role\": \"assista"
	    "nt\", \"content\": \"Warm.\"}], \"bos_token\": \"<\357\275\234begin"
	    "\342\226\201of\342\226\201sentence\357\275\234>\", \"add_generation_prompt"
	    "\": true}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234><"
	    "\357\275\234User\357\275\234>Weather?<\357\275\234Assistant\357\275\234><"
	    "\357\275\234tool\342\226\201calls\342\226\201begin\357\275\234><\357\275\234to"
	    "ol\342\226\201call\342\226\201begin\357\275\234>function<\357\275\234tool"
	    "\342\226\201sep\357\275\234>weather\n"
	    "```json\n"
	    "{\"city\": \"Bern\"}\n"
	    "```<\357\275\234tool\342\226\201call\342\226\201end\357\275\234>\n"
	    "<\357\275\234tool\342\226\201call\342\226\201begin\357\275\234>function<"
	    "\357\275\234tool\342\226\201sep\357\275\234>time\n"
	    "```json\n"
	    "{}\n"
	    "```<\357\275\234tool\342\226\201call\342\226\201end\357\275\234><\357\275\234t"
	    "ool\342\226\201calls\342\226\201end\357\275\234><\357\275\234end\342\226\201of"
	    "\342\226\201sentence\357\275\234><\357\275\234tool\342\226\201outputs"
	    "\342\226\201begin\357\275\234><\357\275\234tool\342\226\201output\342\226\201b"
	    "egin\357\275\234>20<\357\275\234tool\342\226\201output\342\226\201end"
	    "\357\275\234>\n"
	    "<\357\275\234tool\342\226\201output\342\226\201begin\357\275\234>noon<"
	    "\357\275\234tool\342\226\201output\342\226\201end\357\275\234><\357\275\234too"
	    "l\342\226\201outputs\342\226\201end\357\275\234>Warm.<\357\275\234end"
	    "\342\226\201of\342\226\201sentence\357\275\234><\357\275\234Assistant"
	    "\357\275\234><think>\n");
	expect_render(r1_distill,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"tool"
	    "\", \"content\": \"20\"}], \"bos_token\": \"\", \"add_generation_prompt\": tru"
	    "e}",
	    "<\357\275\234User\357\275\234>x<\357\275\234tool\342\226\201outputs"
	    "\342\226\201begin\357\275\234><\357\275\234tool\342\226\201output\342\226\201b"
	    "egin\357\275\234>20<\357\275\234tool\342\226\201output\342\226\201end"
	    "\357\275\234><\357\275\234tool\342\226\201outputs\342\226\201end\357\275\234>");
}

static const char v2[] =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = fa"
    "lse %}{% endif %}{{ bos_token }}{% for m in messages %}{% if m['role'] == 'use"
    "r' %}{{ 'User: ' + m['content'] + '\\n\\n' }}{% elif m['role'] == 'assistant' "
    "%}{{ 'Assistant: ' + m['content'] + eos_token }}{% elif m['role'] == 'system' "
    "%}{{ m['content'] + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_pro"
    "mpt %}{{ 'Assistant:' }}{% endif %}";

static void renders_deepseek_v2_and_llm(void **state)
{
	(void)state;
	expect_render(v2,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role"
	    "\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content"
	    "\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], \"bos_token"
	    "\": \"<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>"
	    "\", \"eos_token\": \"<\357\275\234end\342\226\201of\342\226\201sentence"
	    "\357\275\234>\", \"add_generation_prompt\": true}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>Be brief.\n"
	    "\n"
	    "User: one\n"
	    "\n"
	    "Assistant: 1<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>Use"
	    "r: two\n"
	    "\n"
	    "Assistant:");
	expect_render(v2,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role"
	    "\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content"
	    "\": \"1\"}], \"bos_token\": \"<\357\275\234begin\342\226\201of\342\226\201sent"
	    "ence\357\275\234>\", \"eos_token\": \"<\357\275\234end\342\226\201of"
	    "\342\226\201sentence\357\275\234>\"}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>Be brief.\n"
	    "\n"
	    "User: one\n"
	    "\n"
	    "Assistant: 1<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>");
}

/* The line feeds between its blocks matter. */
static const char coder[] = "{%- set ns = namespace(found=false) -%}\n"
                            "{%- for m in messages -%}\n"
                            "    {%- if m['role'] == 'system' -%}\n"
                            "        {%- set ns.found = true -%}\n"
                            "    {%- endif -%}\n"
                            "{%- endfor -%}\n"
                            "{{bos_token}}{%- if not ns.found -%}\n"
                            "{{'You write code.\\n'}}\n"
                            "{%- endif %}\n"
                            "{%- for m in messages %}\n"
                            "    {%- if m['role'] == 'system' %}\n"
                            "{{ m['content'] }}\n"
                            "    {%- else %}\n"
                            "        {%- if m['role'] == 'user' %}\n"
                            "{{'### Instruction:\\n' + m['content'] + '\\n'}}\n"
                            "        {%- else %}\n"
                            "{{'### Response:\\n' + m['content'] + '\\n<|EOT|>\\n'}}\n"
                            "        {%- endif %}\n"
                            "    {%- endif %}\n"
                            "{%- endfor %}\n"
                            "{% if add_generation_prompt %}\n"
                            "{{'### Response:'}}\n"
                            "{% endif %}";

static void renders_deepseek_coder(void **state)
{
	(void)state;
	expect_render(coder,
	    "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assis"
	    "tant\", \"content\": \"1\"}, {\"role\": \"user\", \"content\": \"two\"}], "
	    "\"bos_token\": \"<\357\275\234begin\342\226\201of\342\226\201sentence"
	    "\357\275\234>\", \"add_generation_prompt\": true}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>You write cod"
	    "e.\n"
	    "### Instruction:\n"
	    "one\n"
	    "### Response:\n"
	    "1\n"
	    "<|EOT|>\n"
	    "### Instruction:\n"
	    "two\n"
	    "### Response:\n");
}

/* Thinking is the caller's choice: without, the thought is closed before it begins. */
static const char v3_1[] =
    "{% if thinking is not defined %}{% set thinking = false %}{% endif %}\n"
    "{%- set ns = namespace(system='', first=true, last=false) %}\n"
    "{%- for m in messages if m.role == 'system' %}{% set ns.system = (ns.system ~ "
    "'\\n\\n' if not ns.first else '') ~ m.content %}{% set ns.first = false %}{% e"
    "ndfor %}\n"
    "{{- bos_token }}{{ ns.system }}\n"
    "{%- for m in messages %}\n"
    "{%- if m.role == 'user' %}{% set ns.last = true %}{{ '<\357\275\234User"
    "\357\275\234>' + m.content }}{% endif %}\n"
    "{%- if m.role == 'assistant' %}\n"
    "{%- if ns.last %}{{ '<\357\275\234Assistant\357\275\234></think>' }}{% endif %"
    "}{% set ns.last = false %}\n"
    "{%- set content = m.content %}{% if '</think>' in content %}{% set content = c"
    "ontent.split('</think>', 1)[1] %}{% endif %}\n"
    "{{- content + '<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>"
    "' }}{% endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt and ns.last %}{{ '<\357\275\234Assistant"
    "\357\275\234>' ~ ('<think>' if thinking else '</think>') }}{% endif %}";

static void renders_deepseek_v3_1_thinking_or_not(void **state)
{
	(void)state;
	expect_render(v3_1,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"A\"}, {\"role\": \"syste"
	    "m\", \"content\": \"B\"}, {\"role\": \"user\", \"content\": \"one\"}, {\"role"
	    "\": \"assistant\", \"content\": \"<think>x</think>1</think>\"}, {\"role"
	    "\": \"user\", \"content\": \"two\"}], \"bos_token\": \"<\357\275\234begin"
	    "\342\226\201of\342\226\201sentence\357\275\234>\", \"add_generation_prompt"
	    "\": true}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>A\n"
	    "\n"
	    "B<\357\275\234User\357\275\234>one<\357\275\234Assistant\357\275\234></think>1"
	    "</think><\357\275\234end\342\226\201of\342\226\201sentence\357\275\234><"
	    "\357\275\234User\357\275\234>two<\357\275\234Assistant\357\275\234></think>");
	expect_render(v3_1,
	    "{\"messages\": [{\"role\": \"system\", \"content\": \"A\"}, {\"role\": \"syste"
	    "m\", \"content\": \"B\"}, {\"role\": \"user\", \"content\": \"one\"}, {\"role"
	    "\": \"assistant\", \"content\": \"<think>x</think>1</think>\"}, {\"role"
	    "\": \"user\", \"content\": \"two\"}], \"bos_token\": \"<\357\275\234begin"
	    "\342\226\201of\342\226\201sentence\357\275\234>\", \"add_generation_prompt"
	    "\": true, \"thinking\": true}",
	    "<\357\275\234begin\342\226\201of\342\226\201sentence\357\275\234>A\n"
	    "\n"
	    "B<\357\275\234User\357\275\234>one<\357\275\234Assistant\357\275\234></think>1"
	    "</think><\357\275\234end\342\226\201of\342\226\201sentence\357\275\234><"
	    "\357\275\234User\357\275\234>two<\357\275\234Assistant\357\275\234><think>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(renders_the_r1_distills_of_qwen_and_llama),
	    cmocka_unit_test(renders_deepseek_v2_and_llm),
	    cmocka_unit_test(renders_deepseek_coder),
	    cmocka_unit_test(renders_deepseek_v3_1_thinking_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
