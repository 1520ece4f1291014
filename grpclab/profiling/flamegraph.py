"""Folded stacks as flamegraphs in HTML: click to zoom, type to search, nothing is loaded.

A page holds each set of stacks once, as a table of frames and rows of their numbers, deflated. The script unpacks and
draws it; widths are shares of samples, rows go from callers to what they call. A frame has the colour of the family of
work that most of its samples end in, the paler the more there are of others. Frames are buttons, so the keyboard
reaches them. Names of frames are data, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections import Counter
from collections.abc import Mapping

from grpclab.profiling.families import HANDLER, SHOWN, classify
from grpclab.profiling.stacks import readable_stack

STYLE = """
.fg{margin:.5rem 0 1rem}.fg-bar{display:flex;gap:.8rem;flex-wrap:wrap;align-items:center;font-size:.86rem}
.fg-bar input{font:inherit;padding:.1rem .4rem;max-width:14rem}.fg-told{opacity:.75}
.fg-key{display:flex;flex-wrap:wrap;gap:.1rem .9rem;list-style:none;margin:.4rem 0 0;padding:0;font-size:.8rem}
.fg-key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em;vertical-align:-.05em}
.fg-graph{position:relative;font:12px/17px system-ui,sans-serif;margin-top:.4rem;overflow:hidden}
.fg-graph button{position:absolute;box-sizing:border-box;height:17px;padding:0 3px;border:0;border-radius:2px;
border-right:1px solid Canvas;overflow:hidden;white-space:nowrap;text-align:left;font:inherit;
cursor:pointer}
.fg-graph button:focus-visible{outline:2px solid #06c;outline-offset:-2px;z-index:1}
.fg-graph .fg-found{outline:2px solid #a0f;outline-offset:-2px}
@media print{.fg-bar{display:none}}
"""

SCRIPT = r"""
for(const home of document.querySelectorAll('.fg'))(async()=>{
 if(!window.DecompressionStream)throw Error('it cannot unpack the stacks; one of 2023 or later can');
 const packed=Uint8Array.from(atob(home.dataset.stacks),c=>c.charCodeAt(0));
 const pipe=new DecompressionStream('deflate'),into=pipe.writable.getWriter();into.write(packed);into.close();
 let text='';const out=pipe.readable.getReader(),decoder=new TextDecoder();
 for(let part;!(part=await out.read()).done;)text+=decoder.decode(part.value,{stream:true});
 const {frames,families,stacks}=JSON.parse(text),fresh=n=>({n,v:0,f:new Map(),c:new Map()}),root=fresh('all');
 const count=(node,family,n)=>{node.v+=n;node.f.set(family,(node.f.get(family)||0)+n)};
 for(const [n,family,...path] of stacks){
  let node=root;count(node,family,n);
  for(const id of path){
   if(!node.c.has(id))node.c.set(id,fresh(frames[id]));
   node=node.c.get(id);count(node,family,n)}}
 const made=(tag,more)=>Object.assign(document.createElement(tag),more);
 const [bar,graph]=['fg-bar','fg-graph'].map(name=>home.appendChild(made('div',{className:name})));
 const key=bar.insertAdjacentElement('afterend',made('ul',{className:'fg-key'}));
 const find=made('input',{type:'search',placeholder:'search'});
 find.setAttribute('aria-label','search the frames');
 const told=made('span',{className:'fg-told'});
 told.setAttribute('role','status');bar.append(find,told);
 const percent=(a,b)=>(100*a/b).toFixed(1)+' %';
 const most=node=>[...node.f].sort((a,b)=>b[1]-a[1]);
 function paint(style,node){
  const [family,n]=most(node)[0],part=node===root?0:.25+.75*n/node.v;
  const rgb=[1,3,5].map(at=>Math.round(228+part*(parseInt(families[family][1].slice(at,at+2),16)-228)));
  style.background=`rgb(${rgb})`;
  style.color=.299*rgb[0]+.587*rgb[1]+.114*rgb[2]<140?'#fff':'#1c1c1c'}
 function draw(path){
  graph.replaceChildren();let rows=0,hit=0;const top=path[path.length-1],q=find.value.toLowerCase();
  function box(node,trail,left,width,row,inside){
   const b=document.createElement('button'),found=q&&node.n.toLowerCase().includes(q);
   b.type='button';b.textContent=node.n;b.title=`${node.n}\n${node.v} samples, ${percent(node.v,root.v)}`;
   b.style.cssText=`left:${left}%;width:${width}%;top:${row*18}px`;paint(b.style,node);
   if(found){b.className='fg-found';if(!inside)hit+=node.v}
   b.onclick=()=>{draw(trail);graph.children[trail.length-1].focus()};
   graph.append(b);rows=Math.max(rows,row+1);return found||inside}
  path.slice(0,-1).forEach((n,i)=>box(n,path.slice(0,i+1),0,100,i,true));
  (function down(node,trail,left,width,row,inside){
   if(width<0.12)return;inside=box(node,trail,left,width,row,inside);
   for(const c of [...node.c.values()].sort((a,b)=>a.n<b.n?-1:1)){
    const w=width*c.v/node.v;down(c,[...trail,c],left,w,row+1,inside);left+=w}
  })(top,path,0,100,path.length-1,false);
  graph.style.height=rows*18+'px';
  key.replaceChildren(...most(top).map(([family,n])=>{
   const item=made('li',{textContent:`${families[family][0]} ${percent(n,top.v)}`}),patch=made('i',{});
   patch.style.background=families[family][1];item.prepend(patch);return item}));
  told.textContent=q?`${percent(hit,top.v)} of what is shown`:
   path.length>1?`${percent(top.v,root.v)} of all; a frame above leads back, the topmost to all`:
   `${root.v.toLocaleString('en')} samples; click a frame to zoom`;
  find.oninput=()=>draw(path)}
 if(root.v)draw([root]);else told.textContent='No thread was at work.';
})().catch(e=>home.append(`This browser cannot draw the flamegraph: ${e.message}.`));
"""


SCRIPT_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode('ascii')}'"
"""The script for a Content-Security-Policy that lets it run, and no other."""


def pack(stacks: Mapping[str, int], *, handler: str = HANDLER) -> str:
    """Stacks as the script takes them: JSON ``{"frames": [name], "families": [[name, colour]], "stacks": [[samples,
    family, frame, ...]]}``, the frames of a stack from the root on; deflated (zlib), base64.

    The stacks are as the profiler gave them, those that wait left out: the families need what is made readable here.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for stack, count in stacks.items():
        family = classify(stack, handler=handler)
        counts[readable_stack(stack), family if family in SHOWN else "other"] += count
    numbers: dict[str, int] = {}
    families = list(SHOWN)
    rows = [
        [count, families.index(family), *(numbers.setdefault(frame, len(numbers)) for frame in stack.split(";"))]
        for (stack, family), count in sorted(counts.items())
    ]
    content = {"frames": list(numbers), "families": list(SHOWN.values()), "stacks": rows}
    text = json.dumps(content, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(errors="replace"), 9)).decode("ascii")


def unpack(packed: str) -> dict[str, int]:
    """What :func:`pack` took, made readable."""
    content = json.loads(zlib.decompress(base64.b64decode(packed)))
    stacks: Counter[str] = Counter()
    for count, _, *path in content["stacks"]:
        stacks[";".join(content["frames"][number] for number in path)] += count
    return dict(stacks)


def fragment(stacks: Mapping[str, int], *, handler: str = HANDLER) -> str:
    """A flamegraph as a part of a page, which must hold STYLE before and SCRIPT once, after all of them; `handler` as
    in :func:`grpclab.profiling.families.classify`."""
    return (
        f'<div class="fg" data-stacks="{pack(stacks, handler=handler)}">'
        "<noscript><p>This flamegraph is drawn by a script inside this page.</p></noscript></div>"
    )


def page(stacks: Mapping[str, int], *, heading: str, note: str = "", handler: str = HANDLER) -> str:
    """A page of its own."""
    title = html.escape(heading)
    look = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}{look}{STYLE}</style>"
        f"<h1>{title}</h1><p>{html.escape(note)}</p>{fragment(stacks, handler=handler)}<script>{SCRIPT}</script></html>"
    )
