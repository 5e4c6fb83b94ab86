/** The style sheet of the status pages. Its colours meet WCAG AA on both backgrounds. */
export const style = `
:root { color-scheme: light dark;
  --ground: #f7f7f5; --card: #fff; --line: #d9d9d3; --text: #1d1f21; --soft: #575b60; --link: #0b57a4;
  --ok: #1a6e3c; --warn: #8a5200; --bad: #b3201b; --work: #0b57a4;
  --ok-bar: #8fd0a8; --warn-bar: #f2c063; --work-bar: #8cb9ea; --bad-soft: #fdeeed; --warn-soft: #fdf4e3; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #16181b; --card: #1f2226; --line: #3a3f45; --text: #e8e8e6; --soft: #a9aeb4; --link: #8fc1ff;
  --ok: #7fd6a0; --warn: #f0b95a; --bad: #ff9a92; --work: #8fc1ff;
  --ok-bar: #2f6f48; --warn-bar: #8a6320; --work-bar: #2f5f94; --bad-soft: #3a2020; --warn-soft: #352b18; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(0.75rem, 3vw, 2.5rem) 4rem; max-width: 84rem;
  background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.2rem 0; }
h2, h3 { font-size: 1.15rem; margin: 2rem 0 0.6rem; }
p { margin: 0.4rem 0; max-width: 50rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code, .mono { font-family: ui-monospace, monospace; font-size: 0.9em; }
.soft { color: var(--soft); }
.ok { color: var(--ok); } .warn { color: var(--warn); } .bad { color: var(--bad); } .work { color: var(--work); }
.state { white-space: nowrap; font-weight: 600; }
.state::before { content: ''; display: inline-block; width: 0.6em; height: 0.6em; border-radius: 50%;
  background: currentColor; margin-right: 0.4em; }
.counts { display: flex; flex-wrap: wrap; gap: 0.6rem; list-style: none; padding: 0; margin: 1.2rem 0; }
.counts a { display: block; min-width: 6.5rem; padding: 0.5rem 0.9rem; background: var(--card); color: inherit;
  border: 1px solid var(--line); border-radius: 8px; text-decoration: none; }
.counts a:hover, .counts a[aria-current] { border-color: var(--link); }
.counts b { display: block; font-size: 1.5rem; line-height: 1.2; }
.box { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 0.8rem 1.1rem; margin: 0.8rem 0; }
.box.bad { background: var(--bad-soft); color: var(--text); border-color: var(--bad); }
.box.warn { background: var(--warn-soft); color: var(--text); border-color: var(--warn); }
.box ul { margin: 0.4rem 0; padding-left: 1.2rem; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.8rem 0; }
input, button { font: inherit; padding: 0.35rem 0.7rem; border: 1px solid var(--soft); border-radius: 6px;
  background: var(--card); color: var(--text); min-width: 0; }
::placeholder { color: var(--soft); opacity: 1; }
progress { width: 100%; height: 0.8rem; accent-color: var(--ok); }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 0.7rem; border-bottom: 1px solid var(--line); }
th { font-size: 0.9rem; color: var(--soft); white-space: nowrap; }
th a { color: inherit; }
td .soft { font-size: 0.9rem; }
td.Domain div, td.Names div, td.Activity div { min-width: 10rem; }
td.Valid, td.CA, td.CheckAt, td.Status { overflow-wrap: normal; }
td.CA div { max-width: 14rem; overflow-wrap: anywhere; min-width: 4rem; }
.day { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1.2rem; margin: 0.6rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
.timeline { display: block; width: 100%; height: 3.2rem; }
.timeline .life { fill: var(--ok-bar); } .timeline .renew { fill: var(--warn-bar); } .timeline .ari { fill: var(--work-bar); }
.timeline .now { stroke: var(--text); stroke-width: 2; } .timeline .next { stroke: var(--work); stroke-width: 2; stroke-dasharray: 4 3; }
.box .legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.4rem; list-style: none; padding: 0; margin: 0.5rem 0; font-size: 0.9rem; }
.legend .timeline { display: inline-block; width: 0.9em; height: 0.9em; vertical-align: -0.1em; margin-right: 0.4em; }
.pages { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0.8rem 0; }
summary { cursor: pointer; margin: 0.6rem 0; }
.log td:first-child { white-space: nowrap; }
@media (max-width: 56rem) {
  table, tbody, tr, td { display: block; }
  table { border: 0; background: none; }
  thead tr { display: flex; flex-wrap: wrap; gap: 0 0.3rem; }
  thead th { border: 0; padding: 0.2rem 0.4rem; }
  thead th:not(:has(a)) { display: none; }
  tbody tr { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 0.6rem 0; padding: 0.3rem 0; }
  td { display: grid; grid-template-columns: 6.5rem 1fr; gap: 0.5rem; border: 0; padding: 0.2rem 0.8rem; }
  td::before { content: attr(data-label); color: var(--soft); font-size: 0.9rem; }
  td.Domain div, td.Names div, td.Activity div, td.CA div { min-width: 0; }
  td { overflow-wrap: anywhere; }
  td:has(> div:empty) { display: none; }
  .log td:first-child { white-space: normal; }
}
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.5rem; } }
`;
