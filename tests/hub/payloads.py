"""Texts of strangers that would run in a careless page: each sets window.hostile, or loads something from elsewhere.

They stand in every text that others control: names, titles, labels, cards, fields of index.json and names of files.
"""

_RUN = "window.hostile=1"
_ELSEWHERE = "http://192.0.2.1/x"  # of the documentation's addresses, RFC 5737: nobody answers

HTML = (
    f"<script>{_RUN}</script>",
    f"<ScRiPt >{_RUN}</sCrIpT>",
    f"<script src={_ELSEWHERE}></script>",
    f"<img src=x onerror={_RUN}>",
    f'<img src="{_ELSEWHERE}">',
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<math><mtext><img src onerror={_RUN}></mtext></math>",
    f"<details open ontoggle={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<audio src=x onerror={_RUN}>",
    f"<body onload={_RUN}>",
    f"<input autofocus onfocus={_RUN}>",
    f"<iframe src=javascript:parent.{_RUN}></iframe>",
    f'<iframe srcdoc="<script>parent.{_RUN}</script>"></iframe>',
    f"<object data=javascript:{_RUN}></object>",
    f"<embed src=javascript:{_RUN}>",
    f"<link rel=stylesheet href={_ELSEWHERE}>",
    f"<style>@import '{_ELSEWHERE}';</style>",
    f'<p style="background: url({_ELSEWHERE})">',
    f"<base href={_ELSEWHERE}>",
    f'<meta http-equiv=refresh content="0; url={_ELSEWHERE}">',
    f'<form action="javascript:{_RUN}"><button autofocus>',
    f"<template><img src=x onerror={_RUN}></template>",
    f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
    f"<a href='javascript:{_RUN}' id=clickme>x</a>",
    f"<!--><img src=x onerror={_RUN}>-->",
    f"<![CDATA[<img src=x onerror={_RUN}>]]>",
)
# What leaves the place where a text stands: an attribute, an element without markup, or a JavaScript or JSON string.
BREAKS = (
    f'"><script>{_RUN}</script>',
    f"'><script>{_RUN}</script>",
    f'" onmouseover="{_RUN}" autofocus onfocus="{_RUN}" x="',
    f"' autofocus onfocus='{_RUN}' x='",
    f"` onfocus={_RUN} autofocus ",
    f"</title><script>{_RUN}</script>",
    f"</textarea></style></script><script>{_RUN}</script>",
    f"</svg></desc></text><script>{_RUN}</script>",
    f"]]><script>{_RUN}</script>",
    f'";{_RUN};//',
    f"\\';{_RUN};//",
    f"\u2028{_RUN}\u2028",
    f"{{{{ {_RUN} }}}}${{{_RUN}}}",
    f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    f"&#60;img src=x onerror={_RUN}&#62;",
    f"+ADw-script+AD4-{_RUN}+ADw-/script+AD4-",
    f"\0<script>{_RUN}</script>",
    f"<scr\0ipt>{_RUN}</script>",
    f"\u202e<script>{_RUN}</script>",
)
MARKDOWN = (
    f"[x](javascript:{_RUN})",
    f"[x](JaVaScRiPt:{_RUN})",
    f"[x](&#106;avascript:{_RUN})",
    f"[x](javascript&colon;{_RUN})",
    f"[x](java\tscript:{_RUN})",
    f"[x](<javascript:{_RUN}>)",
    f"[x](vbscript:{_RUN})",
    f"[x](data:text/html,<script>{_RUN}</script>)",
    f"<javascript:{_RUN}>",
    f"![x]({_ELSEWHERE})",
    f"![x](javascript:{_RUN})",
    f"![x](data:image/svg+xml,<svg/onload={_RUN}>)",
    f'[x](http://192.0.2.1 "a\\" onmouseover={_RUN} b")',
    f"[x]: javascript:{_RUN}\n\n[x]",
    f"[x]({_ELSEWHERE}'onclick='{_RUN})",
    f"```<script>{_RUN}</script>\nx\n```",
    f'```python" onmouseover="{_RUN}\nx\n```',
    f"`<script>{_RUN}</script>`",
    f"| <script>{_RUN}</script> |\n|---|\n| <img src=x onerror={_RUN}> |",
    f"# <script>{_RUN}</script>",
    f'<a name="x" onclick="{_RUN}">x</a>',
    f"- <img src=x onerror={_RUN}>\n\n  <script>{_RUN}</script>",
    f"&lt;img src=x onerror={_RUN}&gt;",
    f"**<b onclick={_RUN}>x</b>**",
)
TEXTS = (*HTML, *BREAKS)
PAYLOADS = (*TEXTS, *MARKDOWN)
# A page that is safe has none of these, wherever the texts went.
FIND_ACTIVE = """() => [...document.querySelectorAll('*')].filter((element) =>
  [...element.attributes].some(({name, value}) => name.startsWith('on')
    || /^\\s*(javascript|vbscript|data:text)/i.test(value) && ['href', 'src', 'action'].includes(name))
  || element.matches('main script, iframe, object, embed, base, meta[http-equiv], main style, main link')
).map((element) => element.outerHTML.slice(0, 200))"""
