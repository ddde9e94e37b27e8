"""Pieces of templates that are rendered once: `{% kept may_act %}…{% endkept %}`.

Inside, only what is named is there: no request, no user, nothing else of the page. So what one person's page left
behind can say nothing to another that it was not told to say. They are kept for each language and for each set of values.
"""

from collections.abc import Hashable, Sequence

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.utils.translation import get_language

from dashboard.serving.memory import Memory

KEPT = Memory[str](size=500)

register = template.Library()


@register.tag
def kept(parser: Parser, token: Token) -> "KeptNode":
    names = token.split_contents()[1:]
    pieces = parser.parse(["endkept"])
    parser.delete_first_token()
    return KeptNode(pieces, {name: parser.compile_filter(name) for name in names})


class KeptNode(template.Node):
    def __init__(self, nodelist: NodeList, named: dict[str, FilterExpression]) -> None:
        self.nodelist = nodelist
        self.named = named

    def render(self, context: template.Context) -> str:
        values: dict[str, Hashable] = {
            name: expression.resolve(context, ignore_failures=True) for name, expression in self.named.items()
        }
        key: Sequence[Hashable] = (self, get_language(), *values.values())
        return KEPT.recall(key, lambda: self.nodelist.render(context.new(values)), worth_keeping=lambda _: True)
