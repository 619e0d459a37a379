/** All workflows of the service, for the bundle. */
export { job } from './job.js';
