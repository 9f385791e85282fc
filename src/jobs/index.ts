export { createJob, runLocally } from "./job.js";
export type { Job, JobRun, JobRunner } from "./job.js";
export { redisRunner } from "./redisRunner.js";
export type { RedisRunnerOptions } from "./redisRunner.js";
