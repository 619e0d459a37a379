export { job, step } from './job.js';
export { node } from './node.js';
export { tenant } from './tenant.js';
