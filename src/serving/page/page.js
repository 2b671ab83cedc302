'use strict';

const byId = (id) => document.getElementById(id);
const drop = byId('drop');
const file = byId('file');
// Counts the pictures, so that a late answer does not show up under another one.
let latest = 0;

async function classify(picture) {
  const own = ++latest;
  const begin = performance.now();
  byId('error').textContent = '';
  byId('status').textContent = 'Classifying…';
  byId('result').hidden = true;
  try {
    const response = await fetch('invocations', {
      method: 'POST',
      headers: {
        'Content-Type': 'application/octet-stream',
        Accept: 'application/json; verbose=true; top_k=5',
      },
      body: picture,
    });
    const reply = await response.json();
    if (own !== latest) return;
    if (!response.ok) throw new Error(reply.error);
    show(picture, reply, performance.now() - begin);
  } catch (error) {
    if (own !== latest) return;
    byId('status').textContent = '';
    byId('error').textContent =
      error instanceof TypeError ? 'The server cannot be reached.' : error.message;
  }
}

function show(picture, reply, milliseconds) {
  const [prediction] = reply.predictions;
  const image = byId('picture');
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(picture);
  image.alt = 'The picture that was classified';
  byId('classes').replaceChildren(...prediction.top.map(row));
  const [best] = prediction.top;
  byId('status').textContent =
    `${readable(best.class_name)}, ${percent(best.probability)}. ` +
    `Took ${milliseconds.toFixed(0)} ms, of which ${prediction.compute_ms.toFixed(0)} ms computing.`;
  byId('model').textContent =
    `Model ${reply.model.id.slice(0, 12)}, ${reply.model.num_classes} classes, ${reply.model.engine}` +
    (prediction.warning ? `. The picture is ${prediction.warning}` : '');
  byId('result').hidden = false;
}

function row({ class_name: className, probability }) {
  const item = document.createElement('li');
  const line = document.createElement('div');
  line.append(text('name', readable(className)), text('part', percent(probability)));
  const bar = document.createElement('progress');
  bar.max = 1;
  bar.value = probability;
  // The line above says the same.
  bar.setAttribute('aria-hidden', 'true');
  item.append(line, bar);
  return item;
}

function text(name, content) {
  const span = document.createElement('span');
  span.className = name;
  span.textContent = content;
  return span;
}

// Of `013.Australian_terrier`.
const readable = (className) => className.replace(/^\d+\./, '').replaceAll('_', ' ');
const percent = (part) => `${(100 * part).toFixed(1)} %`;

file.addEventListener('change', () => {
  if (file.files.length > 0) classify(file.files[0]);
});
// Choosing the same picture again is a wish to see it again.
file.addEventListener('click', () => { file.value = ''; });
for (const name of ['dragenter', 'dragover']) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
}
for (const name of ['dragleave', 'drop']) {
  document.addEventListener(name, () => drop.classList.remove('over'));
}
document.addEventListener('drop', (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length > 0) classify(event.dataTransfer.files[0]);
});
document.addEventListener('paste', (event) => {
  if (event.clipboardData.files.length > 0) classify(event.clipboardData.files[0]);
});
