"""Renders chat templates with Jinja itself, set up as transformers does; the tests compare.

usage: chat_oracle.py REQUEST.json > ANSWERS.json
The request is a list of {template, messages, add_generation_prompt, bos_token, eos_token, now}; the
answer a list of {"text": ...} or {"error": ...}. Exit code 3: there is no jinja2 to compare with.
"""
import datetime
import functools
import json
import sys

try:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox
except ImportError:
    sys.exit(3)


def compiler(now):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(pattern):
        return datetime.datetime.fromtimestamp(now).strftime(pattern)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return functools.lru_cache(environment.from_string)


def render(request, compile_template):
    try:
        template = compile_template(request["template"])
        return {"text": template.render(
            messages=request["messages"], tools=None, documents=None,
            add_generation_prompt=request["add_generation_prompt"],
            bos_token=request["bos_token"], eos_token=request["eos_token"])}
    except Exception as error:  # whatever Jinja or Python refuses
        return {"error": f"{type(error).__name__}: {error}"}


with open(sys.argv[1], encoding="utf-8") as file:
    requests = json.load(file)
compile_template = compiler(requests[0]["now"])
json.dump([render(request, compile_template) for request in requests], sys.stdout)
