/** The flags of `dormouse start`, parsed. Times in milliseconds (Infinity for never), sizes in bytes. */
export interface PlatformOptions {
  readonly data: string;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly pgPort: number;
  readonly publicUrl: string | undefined;
  readonly region: string;
  readonly suspendAfter: number;
  readonly stopAfter: number;
  readonly listenKeepsAwake: boolean;
  /** Memory of all servers together; undefined for a share of the machine's memory. */
  readonly memoryMax: number | undefined;
  /** The limits of each database that has no limit of its own; Infinity for no limit. */
  readonly memoryLimit: number;
  /** Number of processors. */
  readonly cpuLimit: number;
  readonly cpuWeight: number;
  readonly processLimit: number;
  readonly tempLimit: number;
  readonly wakeTimeout: number;
  readonly spares: number;
  readonly bodyMax: number;
  readonly replyMax: number;
  readonly queryTimeout: number;
  readonly transactionTimeout: number;
  readonly transactionsMax: number;
  readonly poolConnections: number;
  readonly poolWaiters: number;
  readonly tcpConnections: number;
  readonly schemasMax: number;
  readonly schemaMax: number;
  readonly plansMax: number;
  readonly cacheMax: number;
  readonly pgBin: readonly string[];
  readonly trustExtension: readonly string[];
  readonly pgUser: string | undefined;
  readonly isolation: 'sandbox' | 'process' | undefined;
}

export interface PlatformDatabase {
  readonly id: string;
  readonly name: string;
  readonly prismaUrl: string | null;
  readonly postgresUrl: string | null;
  readonly pulseUrl: string;
}

/** A running platform. */
export interface Platform {
  readonly http: string;
  readonly postgres: string;
  /** The dashboard's URL with the admin token in its fragment, which browsers do not send. */
  readonly dashboard: string;
  readonly adminToken: string;
  readonly databases: readonly PlatformDatabase[];
  /** Stops all servers cleanly; resolves when the last process has ended. */
  close(): Promise<void>;
}
