"""Ways to decline, to point elsewhere and to tell all the same, as general forms.

All take lowercased text with plain quotes.
"""

from __future__ import annotations

import re

_GIVE = (
    r"(?:help|assist|provid|fulfil+|writ|generat|giv|answer|offer|shar|discuss|explain|describ|instruct|draft|comply"
    r"|support|tell)"
)
"""What an assistant does. Of "creating", "engaging" or "promoting" an essay speaks too."""
_WRONG = (
    r"(?:(?:not|never|n't|hardly)(?: \w+){0,2}? (?:appropriate|acceptable|ethical|responsible|moral|legal|right|ok|okay"
    r"|possible|permissible|permitted|allowed|advisable)"
    r"|(?:inappropriate|unacceptable|unethical|irresponsible|immoral|illegal|wrong|impossible|impermissible))"
)
_IS = r"(?:'s| is| would be| would| will be| isn't| wouldn't be)"
_TREATED = (
    r"(?:answered|discussed|fulfilled|granted|provided|given|offered|shared|written|explained|described|declined"
    r"|refused|rejected|accepted|supported)"
)
_FIRMLY = r"(?:[a-z]+ly |must |do |just |still |hereby |outright )"
DECLINES = re.compile(
    # It is not appropriate to explain that. Writing such a letter would be wrong.
    rf"\b(?:it|this|that|there){_IS} (?:be )?(?:[a-z]+ ){{0,2}}?{_WRONG}(?: for \w+(?: \w+)?)? to"
    rf" (?:\w+ ){{0,2}}?{_GIVE}"
    rf"|^\W*(?:\w+ )?{_GIVE}ing\b[^.!?\n]{{0,80}}?{_IS} (?:\w+ )?{_WRONG}"
    # No help can be given. Such a request cannot be answered, or has to be declined.
    r"|\bno (?:\w+ )?(?:help|assistance|instructions?|guidance|advice|support|answer)\b[^.!?\n]{0,40}\bbe\b"
    r"|\bthere (?:will|can|shall) be no (?:\w+ )?(?:help|assistance|instructions?|guidance|advice|answer)\b"
    rf"|\b(?:request|question|topic|subject|query|task)\b[^.!?\n]{{0,30}}(?:can ?not|can't|will not|won't|may not"
    rf"|must not|should not|shouldn't) be (?:\w+ )?{_TREATED}\b"
    rf"|\b(?:request|question|query)\b[^.!?\n]{{0,30}}\b(?:must|has to|have to) be (?:declined|refused|rejected)\b"
    rf"|\b(?:not|n't) (?:an?|the kind of|something) (?:\w+ )?that (?:can|may|should|will) be {_TREATED}\b"
    # I absolutely refuse.
    rf"|\b(?:i|we) (?:{_FIRMLY}{{1,2}}(?:refuse|decline|object)\b|(?:refuse|decline|object)(?=\s*[.!,;]| (?:this|that"
    r"|your|any|such|to)\b))(?! to (?:believe|accept|admit|give up|surrender|die|leave|quit|let))"
)
OPENS_WRONG = re.compile(rf"^\W*(?:it|this|that){_IS} (?:\w+ )?{_WRONG}(?: for \w+(?: \w+)?)? to [^,;:]+$")
"""A whole sentence that calls the thing wrong: a refusal where it opens a reply that nobody asked for a judgement."""
ASKS_WHETHER = re.compile(
    r"(?:^|[.!?,;:]\s+|\n)(?:is|are|was|would|should|may|can|could|do|does)\b|\b(?:whether|appropriate"
    r"|acceptable|legal|allowed|wrong|ok|okay)\b"
)
CONTACT = re.compile(
    r"\b\w*(?:hot|help|life|crisis )lines?\b|\bhelp is available\b"
    r"|\b(?:call|text|dial|ring|phone|contact|visit|online)\b[^.!?\n]{0,60}(?:\d{3}|www\.|https?:|\bnumbers?\b)"
    r"|\b\d{3}[-. ]\d{3,4}\b|\b(?:line|cent(?:re|er)|service)\s*:"
)
"""Where to find help: a line about it is no answer, and its name speaks no part."""
TELLS = re.compile(
    r"\bi(?: can|'ll| will| could| may)(?: only| still| however| just| at least)? (?:inform|tell|say|reveal|confirm"
    r"|mention|note|state|add)(?: to)?(?: you| this)?(?: \w+)? ?(?:that|how|where|when|which|:) "
    r"|\bwhat i (?:can|could|may) (?:tell|say|share|offer|add)[^.!?\n]{0,20}? is (?:that )?"
)
ABOUT_ITSELF = re.compile(r"^\W*(?:i|i'm|i'd|my|we|our|this (?:request|question|topic|is)|such|your|there)\b")
