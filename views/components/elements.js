// Elements of a page. Text from visitors and models only ever goes through textContent, which `append` sets.

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}
