# Textos del panel en español del Perú. El trato es de usted; las palabras, las de la directiva:
# respaldo (la acción), copia (lo guardado), almacén (los discos juntos), fuente, proveedor externo.

## Marco de todas las páginas
skip = Ir al contenido
menu = Menú
nav = Secciones del panel
nav-today = Hoy
nav-disks = Discos y almacén
nav-sources = Fuentes
nav-snapshots = Copias
nav-provider = Proveedor externo
nav-jobs = Trabajos
nav-running = en curso
logged-in-as = Usuario:
logout = Salir
foot = Colca { $version } · Equipo de respaldo · Hora de Lima (UTC−5)
trail = Ubicación
back = Volver
back-to-today = Volver a Hoy
pages = Partes de la lista
page-before = Anteriores
page-after = Siguientes
page-first = Desde el principio
page-part = Del { $from } al { $to } de { $n }
filter = Mostrar
print = Imprimir
never = Nunca
recommended = recomendado

## Cantidades
count-entries = { $n ->
    [one] { $n } elemento
   *[other] { $n } elementos
  }
count-warnings = { $n ->
    [one] { $n } advertencia
   *[other] { $n } advertencias
  }
ago-now = hace un momento
ago-minutes = { $n ->
    [one] hace { $n } minuto
   *[other] hace { $n } minutos
  }
ago-hours = { $n ->
    [one] hace { $n } hora
   *[other] hace { $n } horas
  }
ago-days = { $n ->
    [one] hace { $n } día
   *[other] hace { $n } días
  }
age-hours = { $n ->
    [one] { $n } hora
   *[other] { $n } horas
  }
age-days = { $n ->
    [one] { $n } día
   *[other] { $n } días
  }

## Columnas
col-source = Fuente
col-origin = Origen
col-last-backup = Último respaldo
col-state = Estado
col-size = Tamaño
col-disk = Disco
col-serial = N.º de serie
col-smart = Salud (SMART)
col-contents = Contenido
col-use = Uso
col-actions = Acciones
col-job = Trabajo
col-when = Fecha y hora
col-duration = Duración
col-name = Nombre
col-changed = Modificado
col-mode = Permisos
col-path = Ruta
col-why = Motivo

## Campos de los formularios
field-user = Usuario
field-password = Contraseña
field-empty = Este dato es necesario.
field-host = Servidor (nombre o dirección IP)
field-port = Puerto
field-port-wrong = El puerto es un número del 1 al 65535; para SFTP suele ser 22.
field-account = Usuario en el servidor
field-account-hint = Basta una cuenta con permiso de lectura; para restaurar ahí mismo necesita también el de escritura.
field-path = Carpeta
field-path-hint = Ruta completa, desde la raíz. Por ejemplo: /srv/datos
field-source-name = Nombre de la fuente
field-source-name-hint = Letras sin tilde, números y guiones. Por ejemplo: archivos-sede
field-private-key = Llave privada
field-private-key-hint = Formato OpenSSH, sin frase de paso. Péguela completa, incluidas las líneas BEGIN y END.

## Primer arranque
claim-title = Active este equipo de respaldo
claim-lead = El equipo todavía no tiene dueño. Para activarlo necesita el código que aparece en su pantalla o consola; así se comprueba que usted está frente al equipo.
claim-connection = Antes de escribir una contraseña, compruebe la conexión
claim-connection-why = El equipo fabricó su propio certificado, por eso el navegador avisa que no lo conoce. Compruebe que es el suyo:
claim-connection-1 = En la barra de direcciones, pulse el aviso o el candado y abra los datos del certificado.
claim-connection-2 = Busque la huella digital SHA-256.
claim-connection-3 = Compárela con la que aparece en la consola del equipo, junto al código.
claim-connection-differs = Si no son iguales, no continúe: alguien podría estar interceptando la conexión.
claim-account = Código y primera cuenta
claim-code = Código de activación
claim-code-hint = Está en la consola del equipo. Sirve una sola vez.
claim-user-hint = La cuenta que administrará el equipo. Por ejemplo: operador
claim-user-wrong = Use de 1 a 64 letras sin tilde, números o los signos . - _ @
claim-password-hint = Al menos { $n } caracteres. Una frase de varias palabras es fácil de recordar y difícil de adivinar.
claim-password-short = La contraseña es muy corta: use al menos { $n } caracteres.
claim-again = Repita la contraseña
claim-again-differs = Las dos contraseñas no son iguales. Escríbalas de nuevo.
claim-button = Activar el equipo
claim-wrong = El código no es correcto
claim-wrong-do = Cópielo de nuevo de la consola del equipo. Da igual si usa mayúsculas o minúsculas.

## Ingreso
login-title = Ingreso al panel
login-lead = Equipo de respaldo Colca
login-button = Ingresar
login-wrong = El usuario o la contraseña no son correctos
login-wrong-do = Revise las mayúsculas y el idioma del teclado, y vuelva a intentar.
login-slow = Demasiados intentos
login-slow-do = { $n ->
    [one] Espere { $n } segundo y vuelva a intentar.
   *[other] Espere { $n } segundos y vuelva a intentar.
  }
login-ended = Su sesión terminó
login-ended-do = Pasó mucho tiempo sin actividad o el equipo se reinició. Ingrese de nuevo; los trabajos en curso no se detuvieron.

## Hoy
today-question = ¿Está todo bien?
today-as-of = Situación al { $time }
today-active = En curso ahora
today-sources = Último respaldo de cada fuente
today-all-sources = Ver todas las fuentes
today-recent = Últimos trabajos
today-all-jobs = Ver todos los trabajos
verdict-good = Sí, todo está bien
verdict-good-lead = Los respaldos están al día y los discos, sanos.
verdict-warn = Hay algo que atender
verdict-warn-lead = { $n ->
    [one] Un asunto necesita su atención.
   *[other] { $n } asuntos necesitan su atención.
  }
verdict-bad = No: hay datos sin protección
verdict-bad-lead = { $n ->
    [one] Atienda este asunto cuanto antes.
   *[other] Atienda estos { $n } asuntos cuanto antes, en este orden.
  }
severity-info = Para saber
severity-warning = Atención
severity-critical = Urgente
steps-title = Tres pasos hasta el primer respaldo
steps-lead = El equipo está activado. Falta esto para que empiece a proteger datos:
steps-done = Listo
steps-pool = Crear el almacén
steps-pool-why = Los discos se juntan en un almacén cifrado que resiste la falla de uno o más de ellos.
steps-pool-do = Elegir los discos
steps-source = Agregar una fuente
steps-source-why = Una fuente es una carpeta que se respalda: de un servidor de archivos o de este mismo equipo.
steps-source-do = Agregar una fuente
steps-backup = Hacer el primer respaldo
steps-backup-why = El primero lee todo. Los siguientes solo guardan lo que cambió.
steps-backup-do = Ir a las fuentes

## Lo que se encontró
find-pool-none = Todavía no hay almacén
find-pool-none-do = Sin almacén no se puede respaldar nada.
find-pool-degraded = Faltan discos del almacén: { $missing }
find-pool-degraded-do = Los datos se pueden leer, pero con menos protección que la prometida. Revise los cables o reemplace el disco.
find-pool-failed = No se puede abrir el almacén
find-pool-failed-do = No se puede respaldar ni restaurar. Revise que todos los discos estén conectados y use «Buscar discos».
find-pool-full = El almacén está casi lleno: quedan { $free } de { $total }
find-pool-full-do = Cuando se llene, los respaldos fallarán. Prevea discos más grandes antes de que ocurra.
find-sources-none = No hay fuentes registradas
find-sources-none-do = Nada se está respaldando.
find-source-never = «{ $source }» nunca se respaldó
find-source-never-do = Haga su primer respaldo.
find-source-old = El último respaldo de «{ $source }» tiene { $age }
find-source-old-do = Debería haber uno por día. Hágalo ahora y averigüe por qué no se hizo.
find-source-failed = Falló el último respaldo de «{ $source }»
find-source-failed-do = Las copias anteriores siguen completas. Resuelva la causa y respalde de nuevo.
find-source-warnings = { $n ->
    [one] El último respaldo de «{ $source }» no pudo guardar { $n } elemento
   *[other] El último respaldo de «{ $source }» no pudo guardar { $n } elementos
  }
find-source-warnings-do = Todo lo demás se guardó. La lista dice cuáles y por qué.
find-provider-none = No hay un proveedor externo configurado
find-provider-none-do = Si se pierde este equipo, se pierden sus copias. Configure una réplica fuera de la sede.
find-replication-never = Nada se replicó todavía al proveedor externo
find-replication-never-do = Haga la primera réplica.
find-replication-old = La última réplica al proveedor externo tiene { $age }
find-replication-old-do = Replique ahora y averigüe por qué no se hizo.
find-replication-failed = Falló la última réplica al proveedor externo
find-replication-failed-do = Las copias de este equipo están intactas. Revise la conexión y el acceso, y replique de nuevo.
find-verify-damage = { $n ->
    [one] La última verificación encontró { $n } parte dañada
   *[other] La última verificación encontró { $n } partes dañadas
  }
find-verify-damage-do = El informe dice si se repararon y a qué copias afecta.
find-verify-failed = La última verificación no pudo terminar
find-verify-failed-do = Resuelva la causa y verifique de nuevo.
see-disks = Ver los discos
see-job = Ver el trabajo
see-source = Ver la fuente
see-provider = Ver el proveedor
see-files = Ver los archivos
see-snapshots = Ver sus copias
see-progress = Ver el avance

## Discos y almacén
disks-lead = Los discos del equipo y el almacén que forman juntos.
disks-title = Discos del equipo
disks-none = No se encontró ningún disco para usar. Conecte discos y vuelva a cargar la página.
disks-rescan = Buscar discos
disk-rotational = giratorio
disk-solid = sin partes móviles
smart-passed = Sano
smart-failed = Por fallar
smart-unknown = Sin datos
smart-hours = { $n } h encendido
contents-blank = Vacío
contents-system = Sistema del equipo
contents-member = Parte de un almacén
contents-prepared = Preparado, sin datos
contents-other = Contiene datos
pool-title = Almacén
pool-ok = Completo
pool-degraded = Faltan discos
pool-failed = No disponible
pool-redundancy = Protección
pool-id = Identificador del almacén
pool-use = Espacio ocupado
pool-used = { $used } ocupados de { $total }; quedan { $free } libres
may-fail = { $n ->
    [0] Ningún disco puede fallar
    [one] Puede fallar { $n } disco
   *[other] Pueden fallar { $n } discos a la vez
  }
rescan-done = Se buscaron los discos
rescan-result = Estado del almacén: { $state }.
verify-title = Verificar lo guardado
verify-lead = Comprueba que las copias estén completas. Mientras tanto se puede ver, descargar y restaurar; los respaldos esperan su turno.
verify-quick = Comprobación rápida
verify-quick-what = Revisa que esté todo lo que cada copia necesita. Tarda minutos.
verify-all = Lectura completa
verify-all-what = Lee, repara si hace falta y descifra cada byte. Puede tardar horas.
verify-button = Verificar ahora
choose-title = Crear el almacén: elija los discos
choose-lead = Indique para qué sirve cada disco. En el paso siguiente elegirá cuántos pueden fallar sin perder datos.
choose-use-of = Uso del disco { $disk }
choose-spare = Un disco de reserva no guarda nada por ahora: toma el lugar del primero que falte.
choose-next = Continuar: elegir la protección
choose-nothing = No eligió ningún disco para datos
choose-many = Son demasiados discos: un almacén tiene como máximo { $n }
choose-again = Cambie la elección en la tabla y continúe.
use-none = No usar
use-data = Datos
use-spare = Reserva
use-impossible = No se puede usar

## Crear el almacén
new-pool-title = Crear el almacén: protección
new-pool-lead = La protección no se puede cambiar después. Los discos se borran y se cifra todo lo que se guarde en ellos.
new-pool-chosen = Discos elegidos
new-pool-uneven = Los discos no son del mismo tamaño: de cada uno se aprovecha lo que mide el menor.
new-pool-redundancy = ¿Cuántos discos pueden fallar?
new-pool-redundancy-lead = A más discos que pueden fallar, menos espacio útil.
redundancy-none = Espacio útil: { $size }. Sin protección: si falla un disco, se pierden todas las copias ({ $written }).
redundancy-mirror = Espacio útil: { $size }. Cada disco guarda una copia completa ({ $written }).
redundancy-parity = Espacio útil: { $size }. Los datos se reparten con partes de repuesto en todos los discos ({ $written }).
confirm-title = Discos que contienen datos
confirm-warning = Estos discos no están vacíos: se borrará todo lo que tienen
confirm-how = Para confirmarlo, escriba el número de serie de cada uno.
confirm-label = Número de serie para borrar el disco { $disk }
confirm-differs = No coincide con el número de serie. Escríbalo tal como aparece.
new-pool-button = Crear el almacén
new-pool-patience = Preparar los discos puede tardar unos minutos. No cierre esta página: a continuación verá las palabras de recuperación.
pool-exists = El almacén ya existe
pool-created = El almacén está listo
pool-created-next = El paso siguiente es agregar una fuente.
words-title = Palabras de recuperación
words-once = Guarde estas palabras ahora: no se volverán a mostrar
words-once-why = Son la única manera de leer las copias si se pierde este equipo. Quien las tenga puede leer todo lo guardado.
words-list = Las 24 palabras, en orden
words-check = Código de control
words-keep = Escríbalas o imprímalas en dos ejemplares y guárdelos en sobres cerrados, en dos lugares seguros y distintos. No las fotografíe ni las guarde en una computadora.
words-print = Palabras de recuperación de un equipo de respaldo Colca. Guardar en sobre cerrado, en lugar seguro.
words-kept = He guardado las 24 palabras en un lugar seguro, fuera de este equipo.
words-kept-button = Ya las guardé; continuar
words-not-ticked = Marque la casilla cuando haya guardado las palabras
words-gone = No hay palabras de recuperación por mostrar
words-gone-why = Se muestran una sola vez: al crear el almacén, al renovarlas o al cambiar la clave.
words-waiting = Faltan guardar las palabras de recuperación
words-waiting-do = Nadie confirmó haber guardado las palabras nuevas del almacén. Si el equipo se reinicia antes, se pierden.
words-waiting-link = Ver las palabras

## Claves
keys-title = Claves
keys-see = Abrir con la frase o las palabras
keys-lead = Lo que abre el almacén: sin ello, nadie puede leer lo guardado.
keys-home-plain = Este equipo abre el almacén con una clave guardada en su propio disco
keys-home-plain-what = Quien se lleve el disco del sistema junto con los del almacén puede leerlo todo. Si el equipo tiene chip de seguridad (TPM), puede guardar ahí la clave.
keys-home-tpm = Este equipo abre el almacén con su chip de seguridad (TPM)
keys-home-tpm-what = Nadie tiene que intervenir al encenderlo. Los discos solos, en otro equipo, no se pueden leer; el equipo completo, sí.
keys-home-both = El almacén se abre con el chip de seguridad (TPM) y una frase
keys-home-both-what = En cada encendido alguien debe escribir la frase en esta página.
keys-home-nothing = Este equipo no guarda nada que abra el almacén
keys-home-nothing-what = En el próximo encendido alguien debe traer las palabras de recuperación o una frase.
keys-slots = Qué abre el almacén
keys-opens = Se abre con
keys-label = Nombre
keys-do = Acción
keys-recovery = Palabras de recuperación
keys-passphrase = Frase de acceso
keys-tpm = Chip de seguridad (TPM)
keys-both = Chip de seguridad (TPM) y frase
keys-unknown = Algo que hizo una versión más nueva
keys-stays = Siempre quedan
keys-remove = Quitar
keys-add-passphrase = Agregar una frase de acceso
keys-add-passphrase-lead = Abre el almacén igual que las palabras de recuperación, también en otro equipo. Quien tenga una copia de los discos puede intentar adivinarla: que sea larga.
keys-label-hint = Opcional; se puede leer en los discos sin ninguna clave.
keys-passphrase-hint = Al menos 12 caracteres; por ejemplo, cuatro o cinco palabras.
keys-again = La misma frase otra vez
keys-add-tpm = Guardar la clave en el chip de seguridad (TPM)
keys-add-tpm-lead = La clave deja de estar en el disco del sistema y solo el chip de este equipo la abre. Conserve las palabras de recuperación: si el chip o la placa fallan, son la única entrada.
keys-tpm-passphrase = Frase que se pedirá en cada encendido
keys-tpm-passphrase-hint = Opcional. Con ella, ni el equipo completo se puede leer sin la frase, pero ya no arranca solo.
keys-renew = Renovar las palabras de recuperación
keys-renew-lead = Para cuando se perdió la hoja o ya no se lee. La clave sigue siendo la misma.
keys-renew-sure = Entiendo que las palabras anteriores dejarán de servir.
keys-change = Cambiar la clave
keys-change-lead = Para cuando alguien pudo conocer la clave o las palabras. Lo que se guarde desde ahora queda bajo otra clave; lo guardado antes sigue bajo la anterior. Se quitan las frases y se dan palabras nuevas.
keys-change-sure = Entiendo que las palabras y frases anteriores dejarán de servir.
keys-closed = El almacén no se abrió solo
keys-closed-do = No se ha perdido nada. Si los discos están conectados, ábralo con una frase o con las palabras de recuperación.
keys-open-passphrase = Abrir con una frase de acceso
keys-open-words = Abrir con las palabras de recuperación
keys-words-hint = En su orden, separadas por espacios; las mayúsculas y las tildes no importan.
keys-open = Abrir el almacén
keys-opened = El almacén está abierto
keys-added = La frase ya abre el almacén
keys-tpm-added = El chip de seguridad ya abre el almacén y la clave salió del disco
keys-removed = Se quitó; ya no abre el almacén
keys-not-sure = Marque la casilla para continuar
keys-differ = Las dos frases no son iguales; no se cambió nada
keys-words-kept = Las palabras nuevas son ahora las únicas válidas

## Fuentes
sources-lead = Las carpetas que este equipo respalda.
sources-none = Todavía no hay fuentes. Agregue la primera para empezar a respaldar.
source-add = Agregar una fuente
source-never = Sin respaldo
source-running = En curso
source-failed = Falló
source-old = Atrasado
source-warnings = Con advertencias
source-good = Al día
source-facts = Datos de la fuente
source-fingerprint = Huella de la llave del servidor
source-jobs = Últimos trabajos de esta fuente
source-remove = Quitar la fuente
kind-sftp = Servidor de archivos (SFTP)
kind-sftp-what = Una carpeta de un servidor Linux, Unix o NAS al que se entra por SSH. No hay que instalar nada en él.
kind-sftp-button = Agregar un servidor
kind-local = Carpeta de este equipo
kind-local-what = Una carpeta que este equipo ya tiene a su alcance, por ejemplo un volumen montado.
kind-local-button = Agregar una carpeta
choose-kind = ¿De dónde vienen los datos?
run-title = Respaldar
run-now = Respaldar ahora
run-incremental = Incremental
run-incremental-what = Lee solo lo que cambió desde la última copia. La copia resultante se restaura sola, sin depender de otras.
run-full = Total
run-full-what = Vuelve a leer todos los archivos. Tarda más; ocupa espacio solo por lo que sea nuevo.
source-name-wrong = Use de 1 a 64 letras sin tilde, números o guiones.
source-path-wrong = La ruta debe ser completa y empezar con «/».
source-added = Se agregó la fuente «{ $source }»
source-added-next = Se pudo entrar y la carpeta existe. Ya puede hacer su primer respaldo.
new-local-title = Agregar una carpeta de este equipo
new-local-lead = El equipo comprobará que la carpeta existe y se puede leer.
new-sftp-title = Agregar un servidor de archivos
new-sftp-lead = Paso 1 de 2: dónde están los datos. Después verá la llave del servidor para compararla.
new-sftp-next = Continuar: consultar la llave del servidor
key-title = Paso 2 de 2: ¿es este el servidor correcto?
key-lead = El servidor { $host } se identificó con una llave que tiene esta huella:
key-how = Compárela con la del propio servidor. Quien lo administra la obtiene con esta orden (cambie el tipo de llave si hace falta):
key-trusted = Comparé la huella y es la misma. Confiar solo en este servidor.
key-not-trusted = Compare la huella y marque la casilla. Sin eso no se debe enviar una contraseña.
secret-title = Cómo entrar
secret-lead = Dé la contraseña o la llave privada, una de las dos. Se guarda cifrada y no se vuelve a mostrar.
secret-wrong = Dé la contraseña o la llave privada: una de las dos.
remove-title = ¿Quitar la fuente «{ $source }»?
remove-keeps = Sus copias no se borran
remove-keeps-what = Se dejará de respaldar y se olvidará cómo entrar a ella. Las copias ya hechas se pueden seguir viendo, descargando y restaurando.
remove-confirm = Para confirmar, escriba el nombre de la fuente: { $source }
remove-differs = El nombre no coincide. Escríbalo tal como aparece.
removed = Se quitó la fuente «{ $source }»
removed-what = Sus copias siguen en el almacén.

## Copias
snapshots-lead = Cada copia muestra los archivos de una fuente tal como estaban en ese momento.
snapshots-of = Fuente:
snapshots-all = Todas
snapshots-none = Todavía no hay copias.
find-title = Buscar archivos
find-lead = Se busca en todas las copias: también aparece lo que ya no está en la fuente.
find-label = Buscar un archivo por su nombre
find-hint = Basta con una parte del nombre, con o sin tildes y mayúsculas. Con * o ? se compara el nombre completo: *.docx
find-everywhere = En todas las fuentes
find-do = Buscar
find-results = Resultados
find-none = Ninguna copia tiene un archivo o una carpeta con ese nombre.
find-more = Se muestran los primeros { $n }; hay más. Escriba una parte más larga del nombre.
find-unread = { $n ->
    [one] Falta revisar { $n } copia
   *[other] Falta revisar { $n } copias
  }
find-unread-do = Lo que está solo en ellas todavía no aparece. Vuelva a buscar en unos minutos.
find-in = { $n ->
    [one] En { $n } copia de { $source }
   *[other] En { $n } copias de { $source }
  }
find-last = La última:
snapshot-whole = Completa
snapshot-facts = Datos de la copia
snapshot-kind = Tipo de respaldo
snapshot-id = Identificador
files-title = Archivos
files-none = Esta carpeta está vacía.
type-folder = Carpeta
type-file = Archivo
type-link = Enlace simbólico
type-fifo = Tubería con nombre
type-socket = Socket
type-device = Dispositivo
download = Descargar
download-all = Descargar todo (.tar)
download-folder = Descargar carpeta (.tar)
restore = Restaurar
restore-all = Restaurar todo
restore-folder = Restaurar carpeta
restore-title = Restaurar en una fuente
restore-what = Qué se restaura
restore-everything = Todo el contenido de la copia
restore-from = De la copia
restore-where = A dónde
restore-source = Fuente que recibe los archivos
restore-target = Carpeta de destino
restore-target-hint = Si la deja vacía, se usa una carpeta nueva junto a los originales: { $folder }
restore-target-hint-unknown = Ruta completa en esa fuente. Si la deja vacía, se usa una carpeta nueva junto a los originales.
restore-replaces = Lo que ya exista con el mismo nombre en el destino se reemplaza
restore-replaces-what = En una carpeta nueva no se reemplaza nada: es lo más seguro. La carpeta se crea si no existe.
restore-sure = Revisé qué se restaura y en qué carpeta.
restore-not-sure = Marque la casilla para confirmar.
restore-button = Restaurar
restore-no-source = No hay una fuente que reciba los archivos
restore-no-source-do = Agregue primero la fuente en la que quiere restaurar. También puede descargar los archivos.

## Trabajos
jobs-lead = Lo que el equipo hizo y está haciendo, lo más reciente primero.
jobs-none = Todavía no hubo trabajos.
job-backup = Respaldo de { $subject }
job-restore = Restauración de { $subject }
job-replicate = Réplica al proveedor externo
job-verify = Verificación del almacén
job-number = Trabajo { $n }
job-facts = Resultado
job-started = Empezó
job-ended = Terminó
job-progress = Avance del trabajo
job-preparing = Preparando…
job-queued-why = Espera a que termine otro trabajo.
job-cancel = Detener
job-cancelling = Se pidió detener el trabajo
job-cancelling-what = Terminará en unos segundos. Lo que ya estaba guardado no se pierde.
live-pause = Pausar actualización
state-queued = En espera
state-running = En curso
state-done = Terminado
state-warnings = Con advertencias
state-failed = Falló
state-cancelled = Detenido
say-queued = El trabajo espera su turno.
say-running = Trabajo en curso.
say-ended = El trabajo terminó.
short-left = faltan { $time }
figure-speed = Velocidad
figure-left = Tiempo restante
figure-left-unknown = aún no se conoce el total
figure-of = de { $total }
figure-files = Archivos
figure-objects = Objetos
figure-bytes = Datos procesados
figure-new = Datos nuevos
figure-stored = Agregado al almacén
figure-elapsed = Tiempo transcurrido
figure-warnings = Advertencias
figure-restored-files = Archivos restaurados
figure-restored-bytes = Datos escritos
figure-copied = Objetos enviados
figure-sent = Datos enviados
figure-present = Ya estaban
figure-removed = Retirados
figure-snapshots = Copias revisadas
figure-segments = Segmentos revisados
figure-read = Datos leídos
figure-damaged = Partes dañadas
figure-repaired = Partes reparadas
outcome-backup = Copia guardada
outcome-restore = Archivos restaurados
outcome-replicate = Réplica completa
outcome-verify = Informe de la verificación
verify-lost = Hay datos que no se pudieron leer
warnings-title = Lo que no se pudo procesar
warnings-lead = Todo lo demás se guardó bien. Revise permisos y discos del origen, y repita el trabajo.
log-title = Bitácora
log-hidden = { $n ->
    [one] Se omite { $n } línea anterior.
   *[other] Se omiten { $n } líneas anteriores.
  }

## Proveedor externo
provider-lead = Una réplica cifrada de todas las copias, fuera de la sede, en un servicio compatible con S3.
provider-none = Todavía no está configurado.
provider-state = Estado de la réplica
provider-last-success = Última réplica correcta
provider-last = Último intento
provider-access = Datos de acceso
provider-endpoint = Dirección del servicio
provider-endpoint-hint = Por ejemplo: https://s3.proveedor.pe
provider-endpoint-wrong = La dirección empieza con https:// (o http:// en una red de pruebas).
provider-region = Región
provider-region-hint = La que indique el proveedor; muchos aceptan us-east-1.
provider-bucket = Depósito (bucket)
provider-bucket-hint = Se crea si no existe y la llave lo permite.
provider-prefix = Prefijo dentro del depósito
provider-prefix-hint = Opcional; sirve si el depósito se comparte.
provider-access-key = Llave de acceso
provider-secret = Llave secreta
provider-secret-hint = Se guarda cifrada y no se vuelve a mostrar.
provider-secret-stored = Ya hay una guardada. Escriba otra solo si quiere cambiarla.
provider-ca = Autoridad certificadora propia
provider-ca-hint = Opcional; certificado en formato PEM, si el proveedor no usa uno público.
provider-save = Comprobar y guardar
provider-inspect = Verificar la réplica
provider-inspected = Última verificación de la réplica
provider-stored = Espacio ocupado en el proveedor
provider-lag = Pendiente de replicar
provider-lag-none = Nada
provider-bad = Objetos perdidos o dañados
provider-lock = Bloqueo contra el borrado
provider-lock-hint = Lo replicado no puede borrarse ni cambiarse antes de su plazo, ni siquiera con la llave de este equipo. El depósito tiene que admitir el bloqueo de objetos desde su creación.
provider-lock-none = Sin bloqueo
provider-lock-governance = Gobernanza, { $days } días como mínimo
provider-lock-compliance = Cumplimiento, { $days } días como mínimo
provider-lock-governance-name = Gobernanza: solo quien tenga un permiso especial puede levantarlo
provider-lock-compliance-name = Cumplimiento: nadie puede levantarlo
provider-lock-days = Días de bloqueo
provider-lock-days-hint = Tantos como deba conservarse la copia más larga.
provider-lock-days-wrong = Escriba un número de días, de 1 a 36500.
provider-bandwidth = Ancho de banda por hora del día
provider-bandwidth-hint = Por ejemplo: 08:00-18:00 2 MiB/s, resto sin límite (hora de Lima). Vacío: sin límite.
provider-bandwidth-wrong = No se entiende el horario. Escríbalo como en el ejemplo.
provider-probe = Probar el bloqueo
provider-probed = Última prueba del bloqueo
provider-probe-held = El proveedor se negó a borrar
provider-probe-open = El bloqueo no protege
provider-probe-bypass = La llave de este equipo puede levantarlo
provider-probe-good = El bloqueo protege
provider-probe-good-body = Se intentó borrar un objeto bloqueado y acortar su plazo, y el proveedor se negó. El resultado queda registrado.
provider-probe-bad = El bloqueo no protege
provider-probe-bad-body = El proveedor borró un objeto bloqueado o acortó su plazo. Reclame al proveedor; el resultado queda registrado.
provider-saved = Se pudo entrar al proveedor y se guardaron los datos
provider-saved-next = Ya puede hacer una réplica.
replicate-now = Replicar ahora

## Lo que salió mal
error-detail-label = Detalle técnico:
error-detail = Detalle técnico: { $message }
error-number = Código de respuesta: { $n }
error-corrupt = Hay datos dañados
error-corrupt-do = Lo leído no es lo que se guardó. Haga una lectura completa en «Discos y almacén» para repararlo.
error-missing = No se encontró lo que se pidió
error-missing-do = Pudo haber sido retirado o cambiado de nombre. Vuelva a la lista y elija de nuevo.
error-transient = Falla pasajera
error-transient-do = Revise la red o el otro equipo y vuelva a intentar en unos minutos.
error-full = No queda espacio
error-full-do = No se perdió nada. Libere espacio o agregue discos y vuelva a intentar.
error-refused = No se puede hacer tal como se pidió
error-refused-do = Revise los datos y los permisos según el detalle, y vuelva a intentar.
error-busy = Está ocupado
error-busy-do = Otro trabajo lo está usando o ya existe. Espere a que termine o elija otro.
error-cancelled = Se detuvo a pedido de una persona
error-cancelled-do = Lo ya guardado no se perdió. Puede empezar de nuevo cuando quiera.
error-io = Falló el equipo
error-io-do = Vuelva a intentar. Si se repite, anote el detalle y avise a quien administra el equipo.
error-400 = No se entendió el pedido
error-400-do = Vuelva a la página anterior, cárguela de nuevo y repita lo que hacía.
error-404 = Esta página no existe
error-404-do = Revise la dirección o use el menú para encontrar lo que busca.
error-405 = A esta página no se llega así
error-405-do = Use los botones del panel en lugar de la dirección.
error-500 = Ocurrió una falla en el equipo
error-500-do = Sus copias no se vieron afectadas. Vuelva a intentar; si se repite, avise a quien administra el equipo.
error-csrf = El formulario venció
error-csrf-do = Se abrió en otra sesión o hace mucho tiempo. Vuelva a la página anterior, cárguela de nuevo y repita; no se hizo ningún cambio.
error-missing-form = Revise el nombre y la ruta, y vuelva a intentar.
fail-source = No se pudo agregar la fuente
fail-key = No se pudo consultar la llave del servidor
fail-provider = No se pudo entrar al proveedor
fail-restore = No se pudo empezar la restauración
fail-pool = No se pudo crear el almacén
fail-backup = No se pudo respaldar
fail-restored = No se pudo restaurar todo
fail-replicate = No se completó la réplica
fail-verify = La verificación no terminó bien

## Cómo está cada disco
disk-healthy = Sano
disk-worn = Desgastado
disk-failing = Falla
disk-missing = No está
disk-foreign = Ajeno
disk-new = Nuevo
disk-retired = Retirado
place-member = En uso
place-spare = De reserva
place-retiring = Por retirar
place-retired = Fuera del almacén
place-other-pool = De otro almacén
why-well = No se conoce ningún problema.
why-well-unknown = Funciona, pero no informa sobre su salud (no tiene SMART).
why-asleep = Está en reposo y no se lo despierta para preguntarle.
why-away = Es del almacén, pero no está en el equipo.
why-emptied = El disco está, pero lo que el almacén guardaba en él ya no.
why-given-up = Dejó de responder y el sistema ya no lo usa.
why-no-answer = Está conectado, pero el almacén no puede usarlo.
why-read-only = No acepta escrituras.
why-pool-errors = El almacén encontró daños en lo que este disco guarda.
why-retiring = Sus datos se están pasando a los otros discos.
why-retired = Ya no guarda nada del almacén.
why-other-pool = Es parte de otro almacén.
why-other-data = Contiene otros datos.
why-blank = Está vacío y se puede usar.
why-prepared = Está preparado y se puede usar.
why-smart-failing = El propio disco avisa que está por fallar.
why-test-failed = Su autoprueba encontró una falla.
why-uncorrectable = { $n ->
    [one] Hay { $n } sector que no se puede leer.
   *[other] Hay { $n } sectores que no se pueden leer.
  }
why-pending = { $n ->
    [one] Hay { $n } sector que no se pudo leer y espera ser reemplazado.
   *[other] Hay { $n } sectores que no se pudieron leer y esperan ser reemplazados.
  }
why-media-errors = { $n ->
    [one] Tuvo { $n } error que no pudo corregir.
   *[other] Tuvo { $n } errores que no pudo corregir.
  }
why-reallocated = { $n ->
    [one] Ya reemplazó { $n } sector dañado.
   *[other] Ya reemplazó { $n } sectores dañados.
  }
why-wear = Gastó el { $n } % de su vida prevista.
why-hot = Está a { $n } °C: demasiado caliente.
do-away = Revise que esté bien colocado; si se dañó, reemplácelo.
do-reseat = Sáquelo y vuelva a colocarlo; si no mejora, reemplácelo.
do-replace = Reemplácelo cuanto antes.
do-replace-soon = Todavía sirve; tenga listo un reemplazo.
do-hot = Revise los ventiladores y que nada tape la entrada de aire.
do-retiring = No lo saque todavía.
do-retired = Ya puede sacarlo.
do-foreign = Si no necesita lo que contiene, puede usarlo: se borrará.
do-other-pool = Sáquelo si no corresponde a este equipo.
do-not-use = No lo use para guardar datos.
do-new = Puede agregarlo al almacén.
col-slot = Bahía
col-temperature = Temperatura
col-replaced = Reemplazados
col-pending = Por reemplazar
col-errors = Errores
col-which = ¿Cuál es?
identify = Identificar
identify-begun = El disco { $disk } se muestra durante un minuto
identify-light = La luz de su bahía está encendida.
identify-activity = Su luz de actividad parpadea de manera pareja.
disk-title = Disco { $disk }
disk-which = Qué disco es
disk-name = Nombre en el sistema
disk-kind = Tipo
disk-place = Uso
disk-seen = Visto por última vez
disk-says = Lo que el disco informa
disk-history = Historia
alarm-since = Desde
smart-on = Encendido
smart-reallocated = Sectores reemplazados
smart-pending = Sectores por reemplazar
smart-uncorrectable = Sectores ilegibles
smart-media = Errores sin corregir
smart-wear = Desgaste
test-last = Última autoprueba
test-running = En curso: falta el { $n } %
test-passed = Sin fallas
test-failed = Encontró una falla
test-aborted = Interrumpida
test-was-long = larga
test-was-short = corta
test-at = a las { $n } h de uso
test-short = Autoprueba corta
test-long = Autoprueba larga
test-lead = La corta tarda unos minutos y se hace sola cada semana; la larga lee todo el disco, tarda horas y se hace sola cada 90 días.
test-begun = La autoprueba comenzó
test-begun-what = El resultado aparecerá en esta página cuando termine.
find-disk = Disco { $serial }
find-disk-slot = Disco { $serial } (bahía { $slot })
see-disk = Ver el disco

## Discos que entran y salen
job-settle = Ordenar los discos del almacén
job-scrub = Releer los discos
fail-settle = No se terminó de ordenar los discos
fail-scrub = No se terminó de releer los discos
fail-replace = No se pudo reemplazar el disco
fail-add-disks = No se pudieron agregar los discos
outcome-settle = Lo que se ordenó
outcome-scrub = Lo que se leyó
figure-rebuilt = Partes reconstruidas
figure-moved = Partes movidas
figure-waiting = En espera
settle-gone = El disco { $disk } ya no guarda nada y salió del almacén.
find-pool-healed = { $n ->
    [one] Se encontró y reparó { $n } daño en el último mes
   *[other] Se encontraron y repararon { $n } daños en el último mes
  }
find-pool-healed-do = No se perdió nada. Si se repite en un mismo disco, reemplácelo.
find-pool-lost = { $n ->
    [one] Hay { $n } parte de las copias que los discos ya no pueden dar
   *[other] Hay { $n } partes de las copias que los discos ya no pueden dar
  }
find-pool-lost-do = Conecte los discos que falten y verifique lo guardado: la verificación dice qué copias afecta.
find-pool-waits = Hay datos con menos protección de la prometida
find-pool-waits-do = Faltan discos o espacio. Conecte los que falten o agregue uno; después continúa solo.
action-add-disks = Agregar discos
action-add = Agregar al almacén
action-replace = Reemplazar
action-retire = Retirar
action-remove = Quitar del almacén
action-keep = Que se quede
action-progress = Ver el avance
risk-now = { $n ->
    [0] Si ahora falla otro disco, se pierden datos
    [one] Ahora puede fallar { $n } disco más sin perder datos
   *[other] Ahora pueden fallar { $n } discos más sin perder datos
  }
risk-until-rebuilt = Esto es así hasta que sus datos se reconstruyan en otro disco.
risk-until-moved = Mientras sus datos se pasan a otro disco sigue protegiendo: no lo saque hasta que se indique.
risk-time = Tardará cerca de { $time }.
replace-title = Reemplazar el disco { $disk }
replace-lead = Un disco nuevo toma su lugar. Los respaldos y las restauraciones siguen mientras tanto.
replace-by = ¿Qué disco lo reemplaza?
replace-button = Borrar el disco nuevo y reemplazar
in-slot = bahía { $slot }
new-disk-confirm = Número de serie del disco nuevo
new-disk-confirm-hint = Todo lo que contenga se borra. Para confirmarlo, escriba su número de serie.
new-disk-choose = Elija un disco.
new-disk-none = No hay ningún disco que se pueda usar. Conecte uno: aparecerá aquí solo.
retire-title = Retirar el disco { $disk }
retire-lead = Sus datos se pasan a los otros discos; después puede sacarlo. La protección no cambia.
retire-button = Retirar
leave-title = Quitar el disco { $disk } del almacén
remove-spare-lead = Es de reserva y no guarda nada.
remove-missing-lead = El almacén deja de esperarlo. Solo es posible cuando los otros discos ya tienen todo lo que guardaba.
remove-done = El disco ya no es del almacén
remove-button = Quitar
keep-done = El disco se queda en el almacén
leaving-title = Salida del disco { $disk }
replacing-title = Disco { $old }: lo reemplaza { $new }
leaving-lead = Puede cerrar esta página: el trabajo sigue solo, también después de un corte de luz.
leaving-steps = Pasos
step-marked = El disco está marcado para salir
step-ready = El disco { $disk } está listo
step-move = Pasar los datos
step-move-soon = Comienza en unos momentos.
step-pull = Sacar el disco
pull-slot = Ya puede sacar el disco { $disk } de la bahía { $slot }.
pull-now = Ya puede sacar el disco { $disk }.
add-disks-title = Agregar discos
add-disks-lead = El almacén crece y los datos se reparten entre todos los discos.
add-disks-button = Borrar los discos elegidos y agregarlos
new-pool-patience-add = Preparar los discos puede tardar unos minutos.
choose-none-add = No eligió ningún disco
add-disks-done = Los discos se agregaron
add-disks-done-what = Los datos se reparten en segundo plano.
care-title = Cuidado de los discos
care-lead = El equipo lee todo lo guardado una y otra vez, lo más antiguo primero, y repara lo que encuentra dañado.
care-since = Todo fue verificado o escrito después de:
care-days = Leer todo cada (días)
care-scrub = Velocidad de lectura (MiB/s)
care-settle = Velocidad para mover datos (MiB/s)
care-zero = 0: sin límite.
care-save = Guardar
care-now = Releer todo ahora
care-saved = Se guardó
care-wrong = Los valores no son válidos
care-wrong-do = Los días van de 1 a 365 y las velocidades son números enteros hasta 10 240.
damage-title = Daños encontrados en el último mes
damage-object = Parte
damage-healed = Reparado
damage-lost = Perdido
damage-open = Por reparar
