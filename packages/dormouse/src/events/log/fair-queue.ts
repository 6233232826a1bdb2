/** A call that waits for the log's thread. */
export interface QueuedCall {
  /** The database: calls of one owner stay in order within their kind; owners take turns. */
  readonly owner: string;
  /**
   * `manage`: an administrator waits for it; goes before every other call. Never a call that a tenant can cause at
   * will. `write` and `read` of one owner alternate, so that neither capture nor the readers wait for all calls of the
   * other.
   */
  readonly kind: CallKind;
}

export type CallKind = 'manage' | 'write' | 'read';

interface Owner<Job> {
  readonly manage: Job[];
  readonly write: Job[];
  readonly read: Job[];
  wrote: boolean;
}

/**
 * Turns between the databases that share the log's thread: each owner's next job, one owner after the other. Every job
 * takes a bounded time, so every turn does.
 */
export class FairQueue<Job extends QueuedCall> {
  /** In the order of the owners' turns; without the owners that have no jobs. */
  readonly #owners = new Map<string, Owner<Job>>();
  /** Owners that have management jobs, in order. */
  readonly #managed = new Set<string>();

  /** How many jobs of this owner wait. */
  waiting(name: string): number {
    const owner = this.#owners.get(name);
    return owner === undefined ? 0 : owner.manage.length + owner.write.length + owner.read.length;
  }

  add(job: Job): void {
    let owner = this.#owners.get(job.owner);
    if (owner === undefined) {
      owner = { manage: [], write: [], read: [], wrote: false };
      this.#owners.set(job.owner, owner);
    }
    owner[job.kind].push(job);
    if (job.kind === 'manage') this.#managed.add(job.owner);
  }

  /** Takes the job whose turn it is. */
  take(): Job | undefined {
    const [managed] = this.#managed;
    if (managed !== undefined) {
      const { manage } = this.#owners.get(managed) as Owner<Job>;
      const job = manage.shift();
      this.#managed.delete(managed);
      if (manage.length > 0) this.#managed.add(managed);
      this.#forgetIdle(managed);
      return job;
    }
    const [first] = this.#owners;
    if (first === undefined) return undefined;
    const [name, owner] = first;
    const kind = owner.read.length === 0 || (owner.write.length > 0 && !owner.wrote) ? 'write' : 'read';
    const job = owner[kind].shift();
    owner.wrote = kind === 'write';
    // The owner goes to the end of the round.
    this.#owners.delete(name);
    this.#owners.set(name, owner);
    this.#forgetIdle(name);
    return job;
  }

  /** Takes out a job whose caller has gone; false if the job does not wait here any more. */
  remove(job: Job): boolean {
    const jobs = this.#owners.get(job.owner)?.[job.kind] ?? [];
    const index = jobs.indexOf(job);
    if (index < 0) return false;
    jobs.splice(index, 1);
    if (job.kind === 'manage' && jobs.length === 0) this.#managed.delete(job.owner);
    this.#forgetIdle(job.owner);
    return true;
  }

  /** Takes out all jobs of one owner, or of every owner. */
  removeAll(name?: string): Job[] {
    const names = name === undefined ? [...this.#owners.keys()] : [name];
    const jobs: Job[] = [];
    for (const each of names) {
      const owner = this.#owners.get(each);
      if (owner !== undefined) jobs.push(...owner.manage, ...owner.write, ...owner.read);
      this.#owners.delete(each);
      this.#managed.delete(each);
    }
    return jobs;
  }

  #forgetIdle(name: string): void {
    if (this.waiting(name) === 0) this.#owners.delete(name);
  }
}
