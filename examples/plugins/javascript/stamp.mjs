export const stamp = (name) => `${name}@gate`;
