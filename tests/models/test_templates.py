"""Chat templates render as transformers renders them, and end soon whatever stands in them."""

from __future__ import annotations

import time

import pytest
from jinja2 import TemplateError

from harness_models.hf.templates import ChatTemplate

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who keeps the light? "},
    {"role": "assistant", "content": "Maren \n"},
]
FACTS = {"bos_token": "<s>", "eos_token": "</s>"}
TEMPLATES = [
    "{{ bos_token }}{% for m in messages %}[{{ m.role ~ ': ' ~ m['content'] | trim }}]{% endfor %}"
    "{% if add_generation_prompt %}[assistant: {% endif %}",
    "{%- set ns = namespace(seen=0) -%}\n{% for m in messages if m.role != 'system' %}\n"
    "{%- set ns.seen = ns.seen + 1 %}{{ loop.index }}/{{ loop.length }} {{ m.role }}\n{{ m.content }}{{ eos_token }}\n"
    "{% if loop.last %}{{ ns.seen }}{% endif %}{% endfor %}",
    "{% macro turn(m) %}<{{ m.role }}>{{ m.content }}{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}"
    "{{ messages | map(attribute='role') | list | tojson }}{{ messages[0] | tojson(indent=1) }}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% continue %}{% endif %}{% endfor %}{{ tools is none }}{{ 'a' * 3 + '%s' % 4 }}",
    "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% endif %}{{ rest[0].content.split()[0].upper() }}"
    "{{ rest[1].content }}{{ undefined_name }}{{ raise_exception('no') if not rest }}",
]  # fmt: skip


@pytest.mark.parametrize("ending", ["none", "prompt", "continued"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_it_renders_as_transformers_does(template, ending):
    from transformers.utils.chat_template_utils import render_jinja_template

    (expected,), _ = render_jinja_template(
        [TURNS], chat_template=template, add_generation_prompt=ending == "prompt",
        continue_final_message=ending == "continued", **FACTS,
    )  # fmt: skip
    assert ChatTemplate(template).render(TURNS, FACTS, ending=ending) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) if n }}{{ f(n - 1) if n }}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in [[1]] * 9 recursive %}{{ loop([a] * 9) }}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{{ 'a' * 10**10 }}", "{{ 10 ** (10 ** 10) }}", "{{ 'a' | center(10000000000) }}", "{{ 'a'.ljust(9999999999) }}",
        "{{ '%9999999999d' % 1 }}", "{{ raise_exception('no') }}",
    ],
)  # fmt: skip
def test_a_template_that_would_not_end_is_refused_soon(template):
    began = time.process_time()
    with pytest.raises(TemplateError):
        ChatTemplate(template).render(TURNS, FACTS)
    assert time.process_time() - began < 20


@pytest.mark.parametrize("template", ["{{ messages.append(1) }}", "{{ namespace(_x=1) }}", "{{ ''.__class__.mro() }}"])
def test_nothing_of_python_is_reached(template):
    with pytest.raises(TemplateError):
        ChatTemplate(template).render(TURNS, FACTS)


def test_a_long_conversation_is_within_the_bounds():
    turns = [{"role": role, "content": "x" * 1000} for _ in range(2000) for role in ("user", "assistant")]
    assert len(ChatTemplate(TEMPLATES[0]).render(turns, FACTS)) > 4_000_000
