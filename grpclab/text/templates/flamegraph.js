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
 const percent=(a,b)=>(100*a/b).toFixed(1)+'%';
 const most=node=>[...node.f].sort((a,b)=>b[1]-a[1]);
 function paint(style,node){
  const [family,n]=most(node)[0],part=node===root?0:.25+.75*n/node.v;
  const rgb=[1,3,5].map(at=>Math.round(228+part*(parseInt(families[family][1].slice(at,at+2),16)-228)));
  style.background=`rgb(${rgb})`;
  const light=rgb.map(c=>c>10?((c/255+.055)/1.055)**2.4:c/3294.6);
  style.color=.2126*light[0]+.7152*light[1]+.0722*light[2]<.179?'#fff':'#000'} // the one with the higher contrast
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
   path.length>1?`${percent(top.v,root.v)} of all samples; click a frame above to zoom out`:
   `${root.v.toLocaleString('en')} samples; click a frame to zoom`;
  find.oninput=()=>draw(path)}
 if(root.v)draw([root]);else told.textContent='No thread was active.';
})().catch(e=>home.append(`This browser cannot draw the flamegraph: ${e.message}.`));
